//! Frames of a client, taken apart as they come.

use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// Longest header: two bytes, a length of eight, a mask.
const HEADER_BYTES_MAX: usize = 14;
/// Longest frame in bytes: several of the longest packets.
const FRAME_BYTES_MAX: u64 = 1024 * 1024;
/// Longest payload of a control frame in bytes. Source: RFC 6455, 5.5.
const CONTROL_BYTES_MAX: u64 = 125;

/// Where a stream of frames is.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER_BYTES_MAX],
    header_length: u8,
    frame: Option<Frame>,
    /// Payload of the control frame so far.
    control: Vec<u8>,
    /// A message that has not ended: more frames belong to it.
    in_message: bool,
    /// The peer said goodbye.
    over: bool,
}

/// A frame whose payload is to come.
#[derive(Debug)]
struct Frame {
    code: OpCode,
    left: u64,
    mask: [u8; 4],
    /// Which byte of the mask is next.
    at: usize,
}

impl Frames {
    /// Whether the peer has said goodbye.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Leaves the payload of `raw` at its beginning, in place, and returns its length. `answer` gets whole frames that
    /// have to go back, and whether it is goodbye.
    ///
    /// # Errors
    /// With which code to close when the peer does what it must not.
    pub(super) fn decode(
        &mut self,
        raw: &mut [u8],
        answer: &mut impl FnMut(&[u8], bool),
    ) -> Result<usize, CloseCode> {
        let (mut from, mut to) = (0, 0);
        while from < raw.len() && !self.over {
            let Some(frame) = &mut self.frame else {
                from += self.begin(&raw[from..])?;
                // One without payload has no byte to wait for.
                self.end_if_whole(answer);
                continue;
            };
            let left = usize::try_from(frame.left).unwrap_or(usize::MAX);
            let part = from..from + left.min(raw.len() - from);
            for byte in &mut raw[part.clone()] {
                *byte ^= frame.mask[frame.at];
                frame.at = (frame.at + 1) % 4;
            }
            frame.left -= part.len() as u64;
            if let OpCode::Data(_) = frame.code {
                raw.copy_within(part.clone(), to);
                to += part.len();
            } else {
                self.control.extend_from_slice(&raw[part.clone()]);
            }
            from = part.end;
            self.end_if_whole(answer);
        }
        Ok(to)
    }

    /// Takes bytes of a header, and returns how many.
    fn begin(&mut self, bytes: &[u8]) -> Result<usize, CloseCode> {
        let had = usize::from(self.header_length);
        let more = bytes.len().min(HEADER_BYTES_MAX - had);
        self.header[had..had + more].copy_from_slice(&bytes[..more]);
        let mut cursor = Cursor::new(&self.header[..had + more]);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| CloseCode::Protocol)?;
        let Some((header, length)) = parsed else {
            self.header_length = u8::try_from(had + more).unwrap_or_default();
            return Ok(more);
        };
        let used = usize::try_from(cursor.position()).unwrap_or_default() - had;
        self.header_length = 0;
        self.check(&header, length)?;
        // Unmasked frames were refused.
        let mask = header.mask.unwrap_or_default();
        self.frame = Some(Frame { code: header.opcode, left: length, mask, at: 0 });
        Ok(used)
    }

    /// Whether a client may send such a frame now.
    fn check(&mut self, header: &FrameHeader, length: u64) -> Result<(), CloseCode> {
        let FrameHeader { is_final, rsv1, rsv2, rsv3, opcode, mask } = header;
        if *rsv1 || *rsv2 || *rsv3 || mask.is_none() {
            return Err(CloseCode::Protocol);
        }
        match opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                Err(CloseCode::Protocol)
            }
            OpCode::Control(_) if !is_final || length > CONTROL_BYTES_MAX => {
                Err(CloseCode::Protocol)
            }
            OpCode::Control(_) => Ok(()),
            OpCode::Data(Data::Text) => Err(CloseCode::Unsupported),
            OpCode::Data(data) if (*data == Data::Continue) != self.in_message => {
                Err(CloseCode::Protocol)
            }
            OpCode::Data(_) if length > FRAME_BYTES_MAX => Err(CloseCode::Size),
            OpCode::Data(_) => {
                self.in_message = !is_final;
                Ok(())
            }
        }
    }

    fn end_if_whole(&mut self, answer: &mut impl FnMut(&[u8], bool)) {
        let Some(Frame { code, left: 0, .. }) = self.frame else { return };
        self.frame = None;
        let payload = std::mem::take(&mut self.control);
        let mut frame = Vec::new();
        match code {
            OpCode::Control(Control::Ping) => {
                whole(OpCode::Control(Control::Pong), &payload, &mut frame);
                answer(&frame, false);
            }
            OpCode::Control(Control::Close) => {
                self.over = true;
                // Its code goes back; what it says beside is not looked at.
                whole(OpCode::Control(Control::Close), payload.get(..2).unwrap_or(&[]), &mut frame);
                answer(&frame, true);
            }
            _ => {}
        }
    }
}

/// Writes a frame of MQTT.
pub(super) fn binary(payload: &[u8], out: &mut Vec<u8>) {
    whole(OpCode::Data(Data::Binary), payload, out);
}

/// Writes a goodbye.
pub(super) fn close(code: CloseCode, out: &mut Vec<u8>) {
    whole(OpCode::Control(Control::Close), &u16::from(code).to_be_bytes(), out);
}

fn whole(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let header = FrameHeader { is_final: true, opcode, mask: None, ..FrameHeader::default() };
    let length = payload.len() as u64;
    out.reserve_exact(header.len(length) + payload.len());
    header.format(length, out).expect("a vector takes all that is written");
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::protocol::frame::Frame as Whole;

    /// A frame of a client.
    fn frame(opcode: OpCode, payload: &[u8], is_final: bool) -> Vec<u8> {
        let mask = Some([1, 2, 3, 4]);
        let header = FrameHeader { is_final, opcode, mask, ..FrameHeader::default() };
        let mut out = Vec::new();
        Whole::from_payload(header, payload.to_vec().into()).format(&mut out).unwrap();
        out
    }

    fn data(data: Data, payload: &[u8], is_final: bool) -> Vec<u8> {
        frame(OpCode::Data(data), payload, is_final)
    }

    fn control(control: Control, payload: &[u8]) -> Vec<u8> {
        frame(OpCode::Control(control), payload, true)
    }

    /// Payload and answers when `input` comes by `step` bytes.
    fn through(input: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>), CloseCode> {
        let (mut frames, mut payload, mut answers) = (Frames::default(), Vec::new(), Vec::new());
        for chunk in input.chunks(step) {
            let mut chunk = chunk.to_vec();
            let count =
                frames.decode(&mut chunk, &mut |frame, _| answers.extend_from_slice(frame))?;
            payload.extend_from_slice(&chunk[..count]);
        }
        Ok((payload, answers))
    }

    #[test]
    fn payloads_come_out_however_frames_and_reads_lie() {
        let long = vec![7; 70_000];
        let input = [
            data(Data::Binary, b"abc", true),
            data(Data::Binary, b"", true),
            data(Data::Binary, b"de", false),
            control(Control::Ping, b"here?"),
            data(Data::Continue, b"f", false),
            data(Data::Continue, b"", true),
            control(Control::Pong, b""),
            data(Data::Binary, &long, true),
            control(Control::Close, &[3, 232, b'x']),
            data(Data::Binary, b"lost", true),
        ]
        .concat();
        let want = [b"abcdef".to_vec(), long].concat();
        let answers = [b"\x8a\x05here?".to_vec(), vec![0x88, 2, 3, 232]].concat();
        for step in [1, 2, 3, 5, 14, 1_000, 1_000_000] {
            assert!(through(&input, step) == Ok((want.clone(), answers.clone())), "{step}");
        }
    }

    #[test]
    fn what_a_client_must_not_send_is_answered_by_its_code() {
        let unmasked = [0x82, 1, 0];
        let reserved_bit = [0xc2, 0x80, 0, 0, 0, 0];
        let mut too_long = vec![0x82, 0xff];
        too_long.extend((FRAME_BYTES_MAX + 1).to_be_bytes());
        too_long.extend([0; 4]);
        for (input, want) in [
            (data(Data::Text, b"abc", true), CloseCode::Unsupported),
            (data(Data::Continue, b"abc", true), CloseCode::Protocol),
            (data(Data::Reserved(3), b"abc", true), CloseCode::Protocol),
            (control(Control::Reserved(11), b"abc"), CloseCode::Protocol),
            (frame(OpCode::Control(Control::Ping), b"", false), CloseCode::Protocol),
            (control(Control::Ping, &[0; 126]), CloseCode::Protocol),
            (
                [data(Data::Binary, b"a", false), data(Data::Binary, b"b", true)].concat(),
                CloseCode::Protocol,
            ),
            (unmasked.to_vec(), CloseCode::Protocol),
            (reserved_bit.to_vec(), CloseCode::Protocol),
            (too_long, CloseCode::Size),
        ] {
            for step in [1, 1_000] {
                assert_eq!(through(&input, step), Err(want), "{input:?} {step}");
            }
        }
    }

    #[test]
    fn frames_of_ours_are_read_by_others() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = vec![9; length];
            let mut out = Vec::new();
            binary(&payload, &mut out);
            let mut cursor = Cursor::new(&out);
            let (header, announced) = FrameHeader::parse(&mut cursor).unwrap().unwrap();
            assert_eq!((announced, header.mask), (length as u64, None));
            assert_eq!(header.opcode, OpCode::Data(Data::Binary));
            assert!(out[usize::try_from(cursor.position()).unwrap()..] == payload);
        }
        let mut out = Vec::new();
        close(CloseCode::Normal, &mut out);
        assert_eq!(out, [0x88, 2, 3, 232]);
    }
}
