//! Download through MQTT: blocks of a file in messages. Source: the device protocol reference, download through MQTT.

use crate::id::TaskNo;
use crc::{CRC_16_ARC, Crc};
use serde_json::Value;

/// Bytes of the largest file that can be downloaded so.
pub const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of the largest block.
pub const BLOCK_BYTES_MAX: u64 = 128 * 1024;
/// Bytes of the longest request that is listened to: what waits for its answer is kept.
pub const REQUEST_BYTES_MAX: usize = 512;
/// The id of the only file.
const FILE_ID: u64 = 1;
const STREAM_MAX: i64 = 0x7fff_ffff;

static CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_ARC);

/// The CRC-16/ARC of a block.
pub fn crc(data: &[u8]) -> u16 {
    CRC.checksum(data)
}

/// By what a device names the file of a task: 1 to 2147483647, the same on every push of the task.
///
/// It follows from the number of the task, and is good for the task's own device only: two tasks that are open on one
/// device would have to be two thousand million apart to share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamId(u32);

impl StreamId {
    pub fn of(task: TaskNo) -> Self {
        let id = (task.0 - 1).rem_euclid(STREAM_MAX) + 1;
        Self(u32::try_from(id).expect("at most 31 bits"))
    }

    pub fn get(self) -> u32 {
        self.0
    }
}

/// Which bytes of which stream a device asks for. Numbers are as it wrote them: they may be out of any range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRequest {
    pub stream: u64,
    pub file: u64,
    pub offset: u64,
    pub size: u64,
}

/// Why a block is not given, with the code that the device hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The stream is unknown, of another device or of an ended task; another file than the only one; bytes that are not
    /// in it.
    #[error("request parameter error")]
    Parameter,
    #[error("device not found")]
    UnknownDevice,
    #[error("server error")]
    Internal,
}

impl BlockError {
    pub fn code(self) -> u16 {
        match self {
            Self::Parameter => 460,
            Self::UnknownDevice => 6100,
            Self::Internal => 500,
        }
    }
}

impl BlockRequest {
    /// The id to echo, and what is asked for; that is `None` when it names no bytes at all. `None` for what is no JSON
    /// object, even without the comma that the C component writes before a brace.
    pub fn parse(payload: &[u8]) -> Option<(Value, Option<Self>)> {
        let value = serde_json::from_slice(payload)
            .or_else(|_| serde_json::from_slice(&without_trailing_commas(payload)));
        let Ok(Value::Object(mut members)) = value else { return None };
        let id = members
            .remove("id")
            .filter(|id| id.is_string() || id.is_number())
            .unwrap_or_else(|| "".into());
        let number = |part: &str, name: &str| {
            let value = members.get("params")?.get(part)?.get(name)?;
            value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
        };
        let request = || {
            Some(Self {
                stream: number("fileInfo", "streamId")?,
                file: number("fileInfo", "fileId")?,
                offset: number("fileBlock", "offset")?,
                size: number("fileBlock", "size")?,
            })
        };
        let request = request();
        Some((id, request))
    }

    /// Whether the request is for this stream.
    pub fn names(&self, stream: StreamId) -> bool {
        self.stream == u64::from(stream.get())
    }

    /// The bytes of a file of `file_bytes` that are meant: the rest of it when the request reaches over its end.
    ///
    /// # Errors
    /// [`BlockError::Parameter`]
    pub fn range(&self, file_bytes: u64) -> Result<std::ops::Range<u64>, BlockError> {
        let left = file_bytes.saturating_sub(self.offset);
        // The public documentation has 256 bytes as the least but at the end, and asks for 16 in the middle in its own
        // vector: a small block costs no more than one of 256.
        let fits = (1..=BLOCK_BYTES_MAX).contains(&self.size);
        if self.file != FILE_ID || left == 0 || !fits {
            return Err(BlockError::Parameter);
        }
        Ok(self.offset..self.offset + self.size.min(left))
    }
}

/// The payload without each comma that only blanks part from a closing brace or bracket, outside strings.
fn without_trailing_commas(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len());
    let (mut in_text, mut escaped) = (false, false);
    for (place, &byte) in payload.iter().enumerate() {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
        } else if byte == b'"' {
            in_text = true;
        } else if byte == b','
            && payload[place + 1..]
                .iter()
                .find(|next| !next.is_ascii_whitespace())
                .is_some_and(|next| b"}]".contains(next))
        {
            continue;
        }
        out.push(byte);
    }
    out
}

/// The answer with a block: `data` from `offset` of a file of `file_bytes`.
pub fn frame(id: &Value, offset: u64, file_bytes: u64, data: &[u8]) -> Vec<u8> {
    let size = data.len();
    let json = format!(
        r#"{{"code":200,"data":{{"bOffset":{offset},"fileLength":{file_bytes},"bSize":{size}}},"id":{id},"message":"success"}}"#
    );
    framed(&json, data)
}

/// The answer without one.
pub fn error_frame(id: &Value, error: BlockError) -> Vec<u8> {
    let code = error.code();
    framed(&format!(r#"{{"id":{id},"code":{code},"message":"{error}","data":{{}}}}"#), &[])
}

fn framed(json: &str, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(json.len()).expect("the id came in a short request");
    let mut out = Vec::with_capacity(2 + json.len() + data.len() + 2);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(json.as_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(&crc(data).to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors() -> Value {
        crate::vectors::vectors()["mqtt_download"].clone()
    }

    #[test]
    fn checksums_are_those_of_the_vectors() {
        let vectors = vectors();
        let cases = vectors["crc"]["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 7);
        for case in cases {
            let description = case["description"].as_str().unwrap();
            let data = match (case["data_hex"].as_str(), description) {
                (Some(text), _) => hex::decode(text).unwrap(),
                (None, "bytes 00..ff in order") => (0..=255).collect(),
                (None, "5120 times ASCII A") => vec![b'A'; 5_120],
                (None, other) => panic!("{other}"),
            };
            assert_eq!(format!("{:04x}", crc(&data)), case["crc_hex"], "{description}");
            let on_wire = hex::encode(crc(&data).to_le_bytes());
            assert_eq!(on_wire, case["crc_bytes_on_wire"], "{description}");
        }
    }

    #[test]
    fn the_request_of_the_c_component_is_read_and_answered_byte_by_byte() {
        let vectors = vectors();
        let payload = vectors["request"]["payload"].as_str().unwrap();
        assert!(serde_json::from_str::<Value>(payload).is_err(), "it is ill-formed");
        let (id, request) = BlockRequest::parse(payload.as_bytes()).unwrap();
        let want = BlockRequest { stream: 1_397_345, file: 1, offset: 32, size: 16 };
        assert_eq!(request, Some(want.clone()));
        assert_eq!(want.range(4_252), Ok(32..48));
        let reply = &vectors["reply"];
        let data = hex::decode(reply["data_hex"].as_str().unwrap()).unwrap();
        let frame = frame(&id, 32, 4_252, &data);
        assert_eq!(hex::encode(&frame), reply["frame_hex"].as_str().unwrap());
        let json_bytes = reply["json_length"].as_u64().unwrap();
        assert_eq!(u64::from(u16::from_be_bytes([frame[0], frame[1]])), json_bytes);
    }

    #[test]
    fn requests_are_read_as_tolerantly_as_devices_write_them() {
        let block = |stream, offset, size| Some(BlockRequest { stream, file: 1, offset, size });
        for (text, id, want) in [
            (
                r#"{"id":"1","params":{"fileInfo":{"streamId":7,"fileId":1},"fileBlock":{"size":256,"offset":2}}}"#,
                r#""1""#,
                block(7, 2, 256),
            ),
            (
                r#"{"id":9,"params":{"fileToken":",}","fileInfo":{"streamId":"7","fileId":"1" , },"fileBlock":{"size":256,"offset":0,}},}"#,
                "9",
                block(7, 0, 256),
            ),
            (r#"{"id":"\",}","params":{"fileInfo":{},}}"#, r#""\",}""#, None),
            (r#"{"params":[]}"#, r#""""#, None),
            (r#"{"id":{},"params":{"fileInfo":{"streamId":-1}}}"#, r#""""#, None),
            (
                r#"{"id":1,"params":{"fileInfo":{"streamId":7,"fileId":1},"fileBlock":{"size":1.5,"offset":0}}}"#,
                "1",
                None,
            ),
        ] {
            let (said, request) = BlockRequest::parse(text.as_bytes()).expect(text);
            assert_eq!((said.to_string().as_str(), request), (id, want), "{text}");
        }
        for text in ["", "[]", "{,}}", "x", "{\"id\":1,,}", "\u{1}"] {
            assert_eq!(BlockRequest::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_block_lies_within_the_file_and_reaches_at_most_to_its_end() {
        let max = BLOCK_BYTES_MAX;
        let file = FILE_BYTES_MAX;
        for (file_bytes, offset, size, want) in [
            (5_092, 0, 5_120, Ok(0..5_092)),
            (5_092, 0, 256, Ok(0..256)),
            (5_092, 5_000, 256, Ok(5_000..5_092)),
            (5_092, 5_091, 1, Ok(5_091..5_092)),
            (5_092, 5_092, 256, Err(BlockError::Parameter)),
            (5_092, u64::MAX, 256, Err(BlockError::Parameter)),
            (5_092, 0, 0, Err(BlockError::Parameter)),
            (file, 0, max, Ok(0..max)),
            (file, 0, max + 1, Err(BlockError::Parameter)),
            (file, 0, u64::MAX, Err(BlockError::Parameter)),
            (file, file - 1, max, Ok(file - 1..file)),
        ] {
            let request = BlockRequest { stream: 1, file: 1, offset, size };
            assert_eq!(request.range(file_bytes), want, "{file_bytes} {offset} {size}");
        }
        let other = BlockRequest { stream: 1, file: 2, offset: 0, size: 256 };
        assert_eq!(other.range(5_092), Err(BlockError::Parameter));
    }

    #[test]
    fn an_error_is_framed_without_data_and_with_a_zero_checksum() {
        let frame = error_frame(&"3".into(), BlockError::Parameter);
        let json = r#"{"id":"3","code":460,"message":"request parameter error","data":{}}"#;
        assert_eq!(usize::from(u16::from_be_bytes([frame[0], frame[1]])), json.len());
        assert_eq!(&frame[2..frame.len() - 2], json.as_bytes());
        assert_eq!(&frame[frame.len() - 2..], [0, 0]);
        let codes = [BlockError::Parameter, BlockError::UnknownDevice, BlockError::Internal];
        assert_eq!(codes.map(BlockError::code), [460, 6_100, 500]);
    }

    #[test]
    fn a_stream_is_named_by_its_task_within_31_bits() {
        for (task, want) in
            [(1, 1), (STREAM_MAX, 2_147_483_647), (STREAM_MAX + 1, 1), (1_397_345, 1_397_345)]
        {
            let stream = StreamId::of(TaskNo(task));
            assert_eq!(i64::from(stream.get()), want);
            let request =
                BlockRequest { stream: u64::from(stream.get()), file: 1, offset: 0, size: 1 };
            assert!(request.names(stream));
            assert!(!BlockRequest { stream: request.stream + 1, ..request }.names(stream));
        }
    }
}
