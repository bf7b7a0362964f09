//! Places have one holder, contents are whole, and what lasts is shown once.

use super::*;

fn content(slots: &Slots, place: &Place) -> Vec<u8> {
    let mut out = Vec::new();
    slots.read(place.number, &mut out);
    out
}

fn long(letter: u8, bytes: usize) -> Vec<u8> {
    vec![letter; bytes]
}

#[test]
fn all_places_can_be_taken_and_the_last_given_back_comes_first() {
    let (slots, mut keeper) = Slots::anonymous(3);
    let [a, b, c] = [(); 3].map(|()| slots.take().expect("a place"));
    assert!(slots.take().is_none());
    assert_eq!([a.number, b.number, c.number], [1, 2, 3]);
    slots.give_back(b);
    keeper.close(c);
    assert_eq!(slots.take().map(|place| place.number), Some(3));
    assert_eq!(slots.take().map(|place| place.number), Some(2));
    assert!(slots.take().is_none());
    let (none, _) = Slots::anonymous(0);
    assert!(none.take().is_none());
}

#[test]
fn contents_are_kept_whole_replaced_and_cut_only_where_there_is_no_room() {
    let (slots, mut keeper) = Slots::anonymous(4);
    let mut place = slots.take().expect("a place");
    for bytes in [0, 1, CONTENT_BYTES, CONTENT_BYTES + 1, CONTENT_BYTES * 4, 3] {
        slots.store(&mut place, &long(b'a', bytes), Stands::Draft);
        assert_eq!(content(&slots, &place), long(b'a', bytes));
    }
    let other = slots.take().expect("what the long ones had is free");
    slots.store(&mut place, &long(b'b', CONTENT_BYTES * 4), Stands::Final);
    assert_eq!(content(&slots, &place), long(b'b', CONTENT_BYTES * 3));
    slots.store(&mut place, b"late", Stands::Draft);
    assert_eq!(content(&slots, &place), long(b'b', CONTENT_BYTES * 3), "final");
    slots.give_back(other);
    keeper.close(place);
    let places: Vec<Place> = std::iter::from_fn(|| slots.take()).collect();
    assert_eq!(places.len(), 4);
}

#[test]
fn content_is_written_in_its_place_where_there_is_room() {
    let (slots, _keeper) = Slots::anonymous(2);
    let [mut a, mut b] = [(); 2].map(|()| slots.take().expect("a place"));
    let put = |room: &mut [u8]| {
        room[..3].copy_from_slice(b"abc");
        Some(3)
    };
    assert!(!slots.store_in_place(&mut a, Stands::Final, |room| {
        room.fill(b'x');
        None
    }));
    assert_eq!(a.stands(), Stands::Nothing);
    assert!(slots.store_in_place(&mut a, Stands::Draft, put));
    assert_eq!(content(&slots, &a), b"abc");
    assert!(!slots.store_in_place(&mut a, Stands::Final, put), "a draft stands there");
    slots.store(&mut b, b"b", Stands::Final);
    assert!(!slots.store_in_place(&mut b, Stands::Final, put));
    assert_eq!(content(&slots, &b), b"b");
}

#[test]
fn what_stands_is_not_given_back() {
    let (slots, _keeper) = Slots::anonymous(1);
    let mut place = slots.take().expect("a place");
    slots.store(&mut place, b"a", Stands::Draft);
    slots.give_back(place);
    assert!(slots.take().is_none());
}

#[test]
fn what_lasts_is_shown_once() {
    let (slots, mut keeper) = Slots::anonymous(4);
    let [mut a, mut b, mut c] = [(); 3].map(|()| slots.take().expect("a place"));
    slots.store(&mut a, &long(b'a', 600), Stands::Final);
    slots.store(&mut b, b"b", Stands::Draft);
    let mut show = |expected: &[&[u8]]| {
        let mut shown = Vec::new();
        keeper.show_lasting(|content| shown.push(content.to_vec()));
        assert_eq!(shown, expected);
    };
    show(&[]);
    slots.store(&mut b, b"bb", Stands::Final);
    slots.store(&mut c, b"c", Stands::Final);
    slots.hide(&c);
    show(&[&long(b'a', 600)]);
    show(&[b"bb"]);
    show(&[]);
}

/// Every place has one holder at a time, however many threads want one.
#[test]
fn no_place_is_given_to_two() {
    let (slots, keeper) = Slots::anonymous(16);
    let (send, receive) = std::sync::mpsc::sync_channel::<Place>(16);
    let closer = std::thread::spawn(move || {
        let mut keeper = keeper;
        for place in receive {
            keeper.close(place);
        }
    });
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (slots, send) = (&slots, send.clone());
            scope.spawn(move || {
                for round in 0..20_000_u32 {
                    let Some(mut place) = slots.take() else { continue };
                    let [.., high, low] = round.to_be_bytes();
                    let letter = [thread, high, low].repeat(100);
                    slots.store(&mut place, &letter, Stands::Draft);
                    assert_eq!(content(slots, &place), letter);
                    if round % 2 == 0 {
                        slots.clear(&mut place);
                        slots.give_back(place);
                    } else {
                        send.send(place).expect("it is taken");
                    }
                }
            });
        }
    });
    drop(send);
    closer.join().expect("no panic");
    let places: Vec<Place> = std::iter::from_fn(|| slots.take()).collect();
    assert_eq!(places.len(), 16);
}
