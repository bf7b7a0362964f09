//! Encoders that take a response body piece by piece. Levels are fixed: the usual ones
//! for content that is coded while it is sent, with windows that bound what a response in flight
//! holds in memory to 2 MB.

use std::fmt;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;
use parking_lot::Mutex;

use crate::model::shape::compression::Coding;

/// zlib's own default; more costs much and gains little.
const GZIP_LEVEL: u32 = 6;
/// Brotli's quality for content that is compressed while it is sent.
const BROTLI_QUALITY: u32 = 4;
/// 64 KiB that a match may reach back. With it an encoder holds 1.6 MB; quality 5 would hold 35 MB.
const BROTLI_WINDOW_BITS: u32 = 16;
const BROTLI_BUFFER_BYTES: usize = 4096;
/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;
/// 256 KiB. With it an encoder holds 1.4 MB.
const ZSTD_WINDOW_BITS: u32 = 18;

/// When what was taken in goes out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flush {
    /// With each piece: the response may be a stream that somebody waits for.
    EachPiece,
    /// When there is enough: the response has a known end.
    WhenFull,
}

/// The body of one response, on its way.
pub struct Encoder {
    /// None once it is finished.
    stream: Option<Stream>,
    flush: Flush,
}

enum Stream {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    /// Pingora shares contexts between threads, which this library does not allow by itself. The
    /// lock is never taken: whoever has the encoder has it alone.
    Zstd(Mutex<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Encoder {
    pub fn new(coding: Coding, flush: Flush) -> io::Result<Self> {
        let stream = match coding {
            Coding::Gzip => {
                Stream::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL)))
            }
            Coding::Brotli => Stream::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER_BYTES,
                BROTLI_QUALITY,
                BROTLI_WINDOW_BITS,
            ))),
            Coding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW_BITS)?;
                Stream::Zstd(Mutex::new(encoder))
            }
        };
        Ok(Self { stream: Some(stream), flush })
    }

    /// Takes a piece; gives what can go out by now, if anything.
    pub fn encode(&mut self, piece: &[u8]) -> io::Result<Option<Bytes>> {
        let Some(stream) = &mut self.stream else { return Ok(None) };
        let flush = self.flush == Flush::EachPiece && !piece.is_empty();
        let out = match stream {
            Stream::Gzip(encoder) => {
                feed(encoder, piece, flush)?;
                std::mem::take(encoder.get_mut())
            }
            Stream::Brotli(encoder) => {
                feed(encoder, piece, flush)?;
                std::mem::take(encoder.get_mut())
            }
            Stream::Zstd(encoder) => {
                let encoder = encoder.get_mut();
                feed(encoder, piece, flush)?;
                std::mem::take(encoder.get_mut())
            }
        };
        Ok(some(out))
    }

    /// Gives all that is left, with the end that decoders look for. Nothing the second time.
    pub fn finish(&mut self) -> io::Result<Option<Bytes>> {
        let out = match self.stream.take() {
            None => return Ok(None),
            Some(Stream::Gzip(encoder)) => encoder.finish()?,
            Some(Stream::Brotli(encoder)) => encoder.into_inner(),
            Some(Stream::Zstd(encoder)) => encoder.into_inner().finish()?,
        };
        Ok(some(out))
    }
}

fn feed(encoder: &mut impl Write, piece: &[u8], flush: bool) -> io::Result<()> {
    encoder.write_all(piece)?;
    if flush { encoder.flush() } else { Ok(()) }
}

/// No bytes are no piece: an empty one would end a chunked body.
fn some(out: Vec<u8>) -> Option<Bytes> {
    (!out.is_empty()).then(|| out.into())
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("flush", &self.flush).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const CODINGS: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    fn decode(coding: Coding, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out)?,
            Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out)?,
            Coding::Zstd => zstd::stream::read::Decoder::new(bytes)?.read_to_end(&mut out)?,
        };
        Ok(out)
    }

    fn pieces() -> Vec<Vec<u8>> {
        let text =
            |n: usize| format!("{{\"number\":{n},\"text\":\"once and again\"}}\n").into_bytes();
        (0..500).map(|n| text(n).repeat(n % 7)).collect()
    }

    #[test]
    fn decoders_get_back_what_encoders_took() {
        for coding in CODINGS {
            for flush in [Flush::EachPiece, Flush::WhenFull] {
                let mut encoder = Encoder::new(coding, flush).expect("it can be made");
                let mut coded = Vec::new();
                for piece in pieces() {
                    coded.extend(
                        encoder.encode(&piece).expect("it takes all").into_iter().flatten(),
                    );
                }
                coded.extend(encoder.finish().expect("it ends").into_iter().flatten());
                assert_eq!(encoder.finish().expect("it ended"), None);
                let plain = pieces().concat();
                assert!(coded.len() < plain.len() / 4, "{coding:?} {flush:?}: {}", coded.len());
                assert_eq!(decode(coding, &coded).expect("valid"), plain, "{coding:?} {flush:?}");
            }
        }
    }

    #[test]
    fn a_flushed_piece_can_be_read_at_once() {
        for coding in CODINGS {
            let mut encoder = Encoder::new(coding, Flush::EachPiece).expect("it can be made");
            let out = encoder.encode(b"first").expect("it takes all").expect("it goes out");
            let mut read = [0; 5];
            match coding {
                Coding::Gzip => flate2::read::GzDecoder::new(&out[..]).read_exact(&mut read),
                Coding::Brotli => brotli::Decompressor::new(&out[..], 4096).read_exact(&mut read),
                Coding::Zstd => zstd::stream::read::Decoder::new(&out[..])
                    .and_then(|mut decoder| decoder.read_exact(&mut read)),
            }
            .expect("all of it is there");
            assert_eq!(&read, b"first", "{coding:?}");
        }
    }

    #[test]
    fn an_empty_body_is_coded_too() {
        for coding in CODINGS {
            let mut encoder = Encoder::new(coding, Flush::EachPiece).expect("it can be made");
            assert_eq!(encoder.encode(b"").expect("it takes all"), None);
            let coded = encoder.finish().expect("it ends").expect("an end is not nothing");
            assert_eq!(decode(coding, &coded).expect("valid"), b"", "{coding:?}");
        }
    }
}
