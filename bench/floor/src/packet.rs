//! As much of MQTT 3.1.1 as a device that reports needs. Nobody is authenticated and nothing is routed.

/// Longest packet in bytes that is taken.
const PACKET_BYTES_MAX: usize = 64 * 1024;

/// What a peer asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request<'a> {
    Connect,
    /// Keep it; with an id the peer waits for a PUBACK.
    Publish {
        id: Option<u16>,
        body: &'a [u8],
    },
    /// Answer with as many codes as there are filters.
    Subscribe {
        id: u16,
        filters: usize,
    },
    Ping,
    /// A PUBACK: nothing to do.
    Acknowledged,
    Disconnect,
}

/// Bytes that are no packet of a peer that reports.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// The first packet of `input` and how many bytes it has; `None` while it is incomplete.
///
/// # Errors
/// [`Malformed`] when the connection can only be closed.
pub fn next(input: &[u8]) -> Result<Option<(Request<'_>, usize)>, Malformed> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    let Some((size, digits)) = length(rest)? else { return Ok(None) };
    let Some(body) = rest.get(digits..digits + size) else { return Ok(None) };
    let request = match (first >> 4, first >> 1 & 3) {
        (1, _) => Request::Connect,
        (3, 0) => Request::Publish { id: None, body },
        (3, 1) => {
            let topic = usize::from(short(body, 0)?);
            Request::Publish { id: Some(short(body, 2 + topic)?), body }
        }
        (4, _) => Request::Acknowledged,
        (8, _) => Request::Subscribe { id: short(body, 0)?, filters: filters(&body[2..])? },
        (12, _) => Request::Ping,
        (14, _) => Request::Disconnect,
        _ => return Err(Malformed),
    };
    Ok(Some((request, 1 + digits + size)))
}

/// The remaining length and how many bytes say it.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut size = 0;
    for (at, &byte) in bytes.iter().take(3).enumerate() {
        size |= usize::from(byte & 127) << (7 * at);
        if byte < 128 {
            return if size <= PACKET_BYTES_MAX {
                Ok(Some((size, at + 1)))
            } else {
                Err(Malformed)
            };
        }
    }
    if bytes.len() < 3 { Ok(None) } else { Err(Malformed) }
}

fn short(body: &[u8], at: usize) -> Result<u16, Malformed> {
    match body.get(at..at + 2) {
        Some(&[high, low]) => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Malformed),
    }
}

fn filters(mut rest: &[u8]) -> Result<usize, Malformed> {
    let mut count = 0;
    while !rest.is_empty() {
        let filter = usize::from(short(rest, 0)?);
        rest = rest.get(2 + filter + 1..).ok_or(Malformed)?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_apart_and_incomplete_ones_waited_for() {
        let publish = b"\x32\x07\x00\x01t\x01\x02hi";
        let want = Request::Publish { id: Some(0x0102), body: &publish[2..] };
        assert_eq!(next(publish), Ok(Some((want, 9))));
        let subscribe = b"\x82\x08\x00\x07\x00\x03a/b\x01";
        assert_eq!(next(subscribe), Ok(Some((Request::Subscribe { id: 7, filters: 1 }, 10))));
        assert_eq!(next(b"\xc0\x00\xe0"), Ok(Some((Request::Ping, 2))));
        for packet in [&publish[..], subscribe] {
            for size in 0..packet.len() {
                assert_eq!(next(&packet[..size]), Ok(None), "{size}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_packet_end_the_connection() {
        for bytes in [
            &b"\x00\x00"[..],
            b"\x34\x00",
            b"\x32\xff\xff\xff\x7f",
            b"\x32\x02\x00\x09",
            b"\x82\x01\x00",
            b"\x82\x05\x00\x01\x00\x09a",
        ] {
            assert_eq!(next(bytes), Err(Malformed), "{bytes:?}");
        }
    }
}
