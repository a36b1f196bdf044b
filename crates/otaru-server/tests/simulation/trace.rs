//! What happened, line by line: the last lines for people, and a number that tells two runs apart.

use std::collections::VecDeque;

const KEPT: usize = 60;

#[derive(Default)]
pub struct Trace {
    /// Whether to print each line as it comes.
    pub aloud: bool,
    last: VecDeque<String>,
    lines: u64,
    digest: u64,
}

impl Trace {
    pub fn note(&mut self, at_ms: u64, text: &str) {
        let (s, ms) = (at_ms / 1_000, at_ms % 1_000);
        let (h, min, s) = (s / 3_600, s / 60 % 60, s % 60);
        let line = format!("{h:02}:{min:02}:{s:02}.{ms:03} {text}");
        if self.aloud {
            println!("{line}");
        }
        for byte in line.bytes() {
            // FNV-1a.
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        self.lines += 1;
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// Equal for two runs in which the same happened.
    pub fn fingerprint(&self) -> (u64, u64) {
        (self.lines, self.digest)
    }

    pub fn tail(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }
}
