//! What a host and the child process of an Extism plug-in say to each other over two pipes, and
//! the JSON of bytes. It reads and writes whole frames; who waits how long is the ends' matter.
//!
//! A frame is two lengths (`u32`, little-endian), a head in JSON, and a body of plain bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pipeline::Level;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
use std::io::{self, Read, Write};
use std::marker::PhantomData;

/// Bytes of a frame's two lengths.
pub const LENGTHS: usize = 8;
/// Bytes of a frame's head at most.
pub const HEAD_BYTES: usize = 64 << 10;
/// Bytes of a text that a child tells.
pub const TEXT_BYTES: usize = 4 << 10;

/// What a child must keep to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChildLimits {
    /// Bytes of each memory, and of all memories together that a call may grow by.
    pub memory_bytes: usize,
    /// Elements of one table.
    pub table_elements: usize,
    /// Bytes of the stack that wasm may use.
    pub stack_bytes: usize,
    /// Bytes of address space of the whole process.
    pub address_bytes: u64,
    /// Processor time of the whole process.
    pub cpu_seconds: u64,
    /// Bytes of a frame's body, either way.
    pub body_bytes: usize,
}

/// What a host says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToChild {
    /// First of all: lock yourself.
    Start(ChildLimits),
    /// The body is the plug-in's wasm.
    Load {
        /// Functions that it must export.
        functions: Vec<String>,
    },
    /// Are you there?
    Ping,
    /// One call in an instance of its own; the body is its input.
    Call {
        /// Which export.
        function: String,
    },
    /// The body is what a host function answers.
    HostAnswer,
}

/// What a child says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromChild {
    /// It is locked.
    Ready {
        /// Locks that this machine doesn't have, for people.
        missing: Vec<String>,
    },
    /// The plug-in is compiled and its imports are there.
    Loaded,
    /// The plug-in can't be loaded; why, about the file.
    Refused {
        /// For its author.
        why: String,
    },
    /// It is there, and idle.
    Pong,
    /// The plug-in calls a host function; the body is its argument.
    Host {
        /// Which one.
        function: String,
    },
    /// The body is a line of the plug-in's log.
    Log {
        /// How much it matters.
        level: Level,
    },
    /// The body is the call's output.
    Answered {
        /// The most that the process has had in memory.
        memory_bytes: usize,
    },
    /// The call has no output.
    Failed {
        /// Which kind of failure.
        why: Why,
        /// What the engine or the plug-in says of it.
        text: String,
        /// The most that the process has had in memory.
        memory_bytes: usize,
    },
}

/// Why a call has no output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The plug-in itself says so, as its kit's errors do.
    Said,
    /// Its memories wanted more than they may have.
    Memory,
    /// It hands over more than a frame may carry.
    TooMuch,
    /// It trapped, or broke a rule of Extism's.
    Trap,
}

/// The bytes of one frame.
pub fn frame(head: &impl Serialize, body: &[u8]) -> io::Result<Vec<u8>> {
    let head = serde_json::to_vec(head)?;
    let length = |bytes: &[u8]| {
        u32::try_from(bytes.len()).map_err(|_| io::Error::other("a frame of more than 4 GiB"))
    };
    let mut frame = Vec::with_capacity(LENGTHS + head.len() + body.len());
    frame.extend(length(&head)?.to_le_bytes());
    frame.extend(length(body)?.to_le_bytes());
    frame.extend(&head);
    frame.extend(body);
    Ok(frame)
}

/// The lengths of head and body; an error where either is beyond its limit.
pub fn lengths(from: [u8; LENGTHS], body_bytes: usize) -> io::Result<(usize, usize)> {
    let [a, b, c, d, e, f, g, h] = from;
    let length = |bytes| usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
    let (head, body) = (length([a, b, c, d]), length([e, f, g, h]));
    if head > HEAD_BYTES {
        return Err(io::Error::other("a frame's head beyond its limit"));
    }
    if body > body_bytes {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok((head, body))
}

/// Reads one frame.
pub fn read<T: DeserializeOwned>(
    from: &mut impl Read,
    body_bytes: usize,
) -> io::Result<(T, Vec<u8>)> {
    let mut both = [0; LENGTHS];
    from.read_exact(&mut both)?;
    let (head_length, body_length) = lengths(both, body_bytes)?;
    // Grown as bytes come, so that a length alone costs nothing.
    let mut bytes = |length: usize| {
        let mut bytes = Vec::new();
        from.by_ref().take(length as u64).read_to_end(&mut bytes)?;
        match bytes.len() == length {
            true => Ok(bytes),
            false => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    };
    let head = bytes(head_length)?;
    let body = bytes(body_length)?;
    Ok((serde_json::from_slice(&head)?, body))
}

/// Writes one frame.
pub fn write(to: &mut impl Write, head: &impl Serialize, body: &[u8]) -> io::Result<()> {
    to.write_all(&frame(head, body)?)?;
    to.flush()
}

/// Bytes that JSON has as standard base64 with padding.
pub(crate) fn base64_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    STANDARD.decode(text).map_err(de::Error::custom)
}

/// Elements of a list that are read at all; how many may be there, `answer` says. A list of empty
/// things is small in JSON and large once it is read.
const FEW: usize = 1_000;

/// A list of a guest's.
pub(crate) struct Few<T>(pub(crate) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        few(from).map(Self)
    }
}

/// A list that is refused where it is far too long, before it is read whole.
pub(crate) fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    struct Bounded<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {FEW}")
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut few = Vec::new();
            while let Some(one) = list.next_element()? {
                if few.len() == FEW {
                    return Err(de::Error::custom(format!("a list of more than {FEW}")));
                }
                few.push(one);
            }
            Ok(few)
        }
    }
    from.deserialize_seq(Bounded(PhantomData))
}

/// As [`base64_bytes`], the other way.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_whole() {
        let head = ToChild::Call {
            function: "prompt".to_owned(),
        };
        let bytes = frame(&head, b"{}").unwrap();
        let (back, body): (ToChild, _) = read(&mut bytes.as_slice(), 2).unwrap();
        assert!(matches!(back, ToChild::Call { function } if function == "prompt"));
        assert_eq!(body, b"{}");
        let short: io::Result<(ToChild, _)> = read(&mut &bytes[..bytes.len() - 1], 2);
        assert_eq!(short.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_list_at_and_past_its_limit() {
        let list = |length: usize| format!("[{}]", vec!["0"; length].join(","));
        let few: Few<u8> = serde_json::from_str(&list(FEW)).unwrap();
        assert_eq!(few.0.len(), FEW);
        assert!(serde_json::from_str::<Few<u8>>(&list(FEW + 1)).is_err());
    }

    #[test]
    fn lengths_beyond_the_limit_are_refused_before_anything_is_read() {
        let at = |head: u32, body: u32| {
            let mut both = [0; LENGTHS];
            both[..4].copy_from_slice(&head.to_le_bytes());
            both[4..].copy_from_slice(&body.to_le_bytes());
            lengths(both, 10)
        };
        assert_eq!(at(HEAD_BYTES as u32, 10).unwrap(), (HEAD_BYTES, 10));
        assert!(at(HEAD_BYTES as u32 + 1, 0).is_err());
        let error = at(0, 11).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
