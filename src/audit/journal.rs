//! The journal: where the records of answered calls stand until their lines are in the log.
//!
//! `DATA_DIR/audit.journal` is mapped into memory. A worker stores what is known of a call before its
//! answer begins: from then on the kernel has it, and killing the gate does not lose it. The recorder closes the
//! slot when the line is written. What a killed gate has left open its next start finds here.
//!
//! The file is never synced: what must outlast a power cut is in the log by then. Found after the machine was
//! started anew, it says nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::id::RequestId;

use super::segment::Boot;

mod counts;
mod slots;

pub use counts::Unrecorded;
pub use slots::{CONTENT_BYTES, Keeper, Place, Slots, Stands};
use slots::{
    HEADER_BYTES, LENGTH, NEXT, NUMBERS_AT, OPEN, SLOT_BYTES, SLOT_HEADER_BYTES, STATE, TOLD_WITH,
    bytes,
};

fn path(directory: &Path) -> PathBuf {
    directory.join("audit.journal")
}

/// Makes the journal of a boot, with room for so many records at once, beside slots that are in use from the
/// start. It takes the place of the one before when [`take_over`] says so: by then it must have what that one
/// still tells.
pub fn create(
    directory: &Path,
    boot: Boot,
    (records, used): (usize, usize),
) -> io::Result<(Arc<Slots>, Keeper)> {
    // Some are longer than a slot.
    let count = u32::try_from(records + records / 4 + 16 + used);
    let count = count.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let new = directory.join("audit.journal.new");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    allocate(&file, bytes(count))?;
    file.write_all(header(&boot.to_string()).as_bytes())?;
    Slots::over(&file, count)
}

/// The new journal is the journal.
pub fn take_over(directory: &Path) -> io::Result<()> {
    fs::rename(directory.join("audit.journal.new"), path(directory))
}

/// Nothing of the journal is to be told any more: all of it is in the log.
pub fn retire(directory: &Path) -> io::Result<()> {
    match fs::remove_file(path(directory)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// All of the file's room at once: a mapped file that finds no room later would end the process.
fn allocate(file: &File, bytes: usize) -> io::Result<()> {
    let allocated =
        rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes as u64);
    match allocated {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let mut file = file;
            io::copy(&mut io::repeat(0).take(bytes as u64), &mut file)?;
            io::Seek::rewind(&mut file)
        }
        allocated => Ok(allocated?),
    }
}

/// Texts, so that whoever looks at the file knows what it is.
fn header(boot: &str) -> String {
    format!("{MAGIC}\nslot {SLOT_BYTES}\nboot {boot}\nmachine {}\n", machine())
}

const MAGIC: &str = "onegate journal 1";

/// Which start of the machine this is: memory does not outlast it.
fn machine() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Requests of the gate before that have no record and are in no gap record. `is_in_log` says whether its log has a
/// record with an id.
pub fn left_unrecorded(
    directory: &Path,
    is_in_log: impl FnOnce(RequestId) -> io::Result<bool>,
) -> io::Result<Unrecorded> {
    let file = match File::open(path(directory)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Unrecorded::default()),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(HEADER_BYTES as u64).read_to_end(&mut bytes)?;
    if !bytes.starts_with(MAGIC.as_bytes()) || !is_of_this_machine(&bytes) {
        return Ok(Unrecorded::default());
    }
    let numbers = std::array::from_fn(|which| {
        let at = NUMBERS_AT + which * size_of::<u64>();
        let bytes = bytes.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    });
    Unrecorded::left(numbers, is_in_log)
}

/// Whether the machine was not started anew since the journal was made.
fn is_of_this_machine(bytes: &[u8]) -> bool {
    let expected = format!("\nmachine {}\n", machine());
    let header = bytes.get(..HEADER_BYTES.min(bytes.len())).unwrap_or_default();
    !machine().is_empty()
        && header.windows(expected.len()).any(|window| window == expected.as_bytes())
}

/// What stands open in the journal, in no order, and whether it is of this boot: a start that was killed has put what it
/// found into its own journal. Nothing where the machine was started anew since.
pub fn left_open(directory: &Path, boot: Boot) -> io::Result<(Vec<Open>, OfBoot)> {
    let nothing = (Vec::new(), OfBoot::This);
    let bytes = match fs::read(path(directory)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(nothing),
        Err(error) => return Err(error),
    };
    let Some((found, slots)) = bytes.split_at_checked(HEADER_BYTES) else { return Ok(nothing) };
    if !found.starts_with(MAGIC.as_bytes()) || !is_of_this_machine(found) {
        return Ok(nothing);
    }
    let is_this = found.starts_with(header(&boot.to_string()).as_bytes());
    let slots = slots.as_chunks::<SLOT_BYTES>().0;
    let open = (1..).zip(slots).filter(|(_, slot)| word(slot, STATE) == OPEN);
    let open = open.map(|(number, slot)| Open {
        number,
        told_with: word(slot, TOLD_WITH),
        content: content(slots, slot),
    });
    let of = if is_this { OfBoot::This } else { OfBoot::Another };
    Ok((open.collect(), of))
}

/// What stands open in a slot.
#[derive(Debug)]
pub struct Open {
    pub number: u32,
    /// The number of the slot with whose content it is told, in one record; 0 for none.
    pub told_with: u32,
    pub content: Vec<u8>,
}

/// Whose journal it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OfBoot {
    This,
    Another,
}

fn content(slots: &[[u8; SLOT_BYTES]], first: &[u8; SLOT_BYTES]) -> Vec<u8> {
    let mut content = Vec::new();
    let mut slot = Some(first);
    // In a damaged file they may lead in a circle.
    for _ in 0..PARTS_MAX {
        let Some(part) = slot else { break };
        let length = (word(part, LENGTH) as usize).min(CONTENT_BYTES);
        content.extend(part.iter().skip(SLOT_HEADER_BYTES).take(length));
        slot = (word(part, NEXT) as usize).checked_sub(1).and_then(|next| slots.get(next));
    }
    content
}

/// Far more than any record has: it only bounds what a damaged file can ask for.
const PARTS_MAX: usize = (1 << 20) / CONTENT_BYTES;

fn word(slot: &[u8; SLOT_BYTES], at: usize) -> u32 {
    let word = slot.get(at..at + 4).and_then(|word| word.try_into().ok());
    u32::from_le_bytes(word.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::Directory;
    use crate::model::time::UnixMicros;

    fn left(directory: &Directory, boot: Boot) -> Vec<Vec<u8>> {
        let (left, of) = left_open(directory.path(), boot).expect("reads");
        let mut left: Vec<Vec<u8>> = left.into_iter().map(|open| open.content).collect();
        left.sort();
        if of == OfBoot::This { left } else { Vec::new() }
    }

    #[test]
    fn what_is_open_is_found_and_nothing_else() {
        let directory = Directory::new();
        let boot = Boot::new(UnixMicros(0), 7, &[]);
        assert_eq!(left(&directory, boot), Vec::<Vec<u8>>::new());
        let (slots, mut keeper) = create(directory.path(), boot, (64, 0)).expect("a journal");
        take_over(directory.path()).expect("renames");
        let [mut a, mut b, mut c, _d] = [(); 4].map(|()| slots.take().expect("a place"));
        let long = b"long".repeat(1000);
        slots.store(&mut a, b"short", Stands::Final);
        slots.store(&mut b, &long, Stands::Draft);
        slots.store(&mut c, b"done", Stands::Final);
        keeper.close(c);
        assert_eq!(left(&directory, boot), [long.clone(), b"short".to_vec()]);
        slots.store(&mut b, b"shorter", Stands::Final);
        assert_eq!(left(&directory, boot), [b"short".to_vec(), b"shorter".to_vec()]);
        let other = Boot::new(UnixMicros(0), 8, &[]);
        assert_eq!(left(&directory, other), Vec::<Vec<u8>>::new(), "another boot's");

        let (_slots, _keeper) = create(directory.path(), other, (64, 0)).expect("a journal");
        assert_eq!(left(&directory, boot).len(), 2, "the new one has not taken over");
        take_over(directory.path()).expect("renames");
        assert_eq!(left(&directory, other), Vec::<Vec<u8>>::new());
        assert_eq!(left(&directory, boot), Vec::<Vec<u8>>::new());
    }

    /// The moments between the line that tells of them and the count of what is told are what matters.
    #[test]
    fn what_has_no_record_is_counted_and_told_once() {
        let directory = Directory::new();
        let boot = Boot::new(UnixMicros(0), 7, &[]);
        let check = |written: &[RequestId], expected: (u64, u64)| {
            let is_in_log = |id| Ok(written.contains(&id));
            let left = left_unrecorded(directory.path(), is_in_log).expect("reads");
            assert_eq!((left.refused, left.served), expected);
        };
        check(&[], (0, 0));
        let (slots, _keeper) = create(directory.path(), boot, (64, 0)).expect("a journal");
        take_over(directory.path()).expect("renames");
        check(&[], (0, 0));
        slots.count_refused(7);
        slots.count_served(3);
        check(&[], (7, 3));
        let [first, second, third] = [1, 2, 3].map(crate::audit::tests::id);
        let untold = slots.untold();
        assert_eq!((untold.refused, untold.served), (7, 3));
        slots.telling(untold, first);
        slots.count_refused(1);
        check(&[], (8, 3));
        check(&[second], (8, 3));
        check(&[first], (1, 0));
        // It could not be written: another tells of them, and of more.
        slots.telling(slots.untold(), second);
        check(&[], (8, 3));
        check(&[second], (0, 0));
        slots.told();
        check(&[second], (0, 0));
        check(&[], (0, 0));
        slots.count_served(2);
        check(&[second], (0, 2));
        slots.telling(slots.untold(), third);
        check(&[second], (0, 2));
        check(&[second, third], (0, 0));
    }

    #[test]
    fn what_is_told_together_says_so_until_it_is_closed() {
        let directory = Directory::new();
        let boot = Boot::new(UnixMicros(0), 7, &[]);
        let (slots, mut keeper) = create(directory.path(), boot, (64, 0)).expect("a journal");
        take_over(directory.path()).expect("renames");
        let mut places = [(); 3].map(|()| slots.take().expect("a place"));
        for place in &mut places {
            slots.store(place, b"call", Stands::Final);
        }
        let check = |expected: &[(u32, u32)]| {
            let (open, _) = left_open(directory.path(), boot).expect("reads");
            let told = open.iter().map(|open| (open.number, open.told_with));
            assert_eq!(told.collect::<Vec<_>>(), expected);
        };
        check(&[(1, 0), (2, 0), (3, 0)]);
        let [a, b, c] = places;
        let together = [c, a];
        keeper.tell_together(&together);
        check(&[(1, 3), (2, 0), (3, 3)]);
        let [c, a] = together;
        keeper.close(a);
        check(&[(2, 0), (3, 3)]);
        let mut again = slots.take().expect("the one that was closed");
        slots.store(&mut again, b"other", Stands::Final);
        check(&[(1, 0), (2, 0), (3, 3)]);
        keeper.close(c);
        keeper.close(b);
        check(&[(1, 0)]);
    }

    #[test]
    fn what_the_machine_forgot_is_not_believed() {
        let directory = Directory::new();
        let boot = Boot::new(UnixMicros(0), 7, &[]);
        let (slots, _keeper) = create(directory.path(), boot, (64, 0)).expect("a journal");
        take_over(directory.path()).expect("renames");
        let mut place = slots.take().expect("a place");
        slots.store(&mut place, b"short", Stands::Final);
        let path = path(directory.path());
        let mut bytes = fs::read(&path).expect("reads");
        let at = header(&boot.to_string()).len() - 2;
        bytes[at] ^= 1;
        fs::write(&path, bytes).expect("writes");
        assert_eq!(left(&directory, boot), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn any_file_is_read_without_harm() {
        let directory = Directory::new();
        let boot = Boot::new(UnixMicros(0), 7, &[]);
        let check = |bytes: &[u8], expected: usize| {
            fs::write(path(directory.path()), bytes).expect("writes");
            assert_eq!(left(&directory, boot).len(), expected);
        };
        check(b"", 0);
        check(b"short", 0);
        let mut bytes = header(&boot.to_string()).into_bytes();
        bytes.resize(HEADER_BYTES, 0);
        check(&bytes, 0);
        // A slot that names itself as its next part.
        let mut slot = [0; SLOT_BYTES];
        (slot[0], slot[4], slot[8]) = (1, 1, 255);
        bytes.extend(slot);
        check(&bytes, 1);
        bytes.extend(&slot[..100]);
        check(&bytes, 1);
        // The same without content: it never grows.
        slot[8] = 0;
        bytes.extend(slot);
        check(&bytes, 2);
    }
}
