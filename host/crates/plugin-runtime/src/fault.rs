//! Words for what went wrong in a guest: who, in which step, which limit, and where in the wasm.
//! It decides nothing.

use crate::CallLimits;
use crate::sandbox::Broke;
use wasmtime::{Error, Trap, WasmBacktrace};

/// Frames of a backtrace that are told.
const FRAMES: usize = 5;
/// Bytes that are told of a function's name, which the guest chose.
const NAME_BYTES: usize = 80;
/// What wasmtime says where there are too many handles: of a component's own, and of the host's.
const HANDLES: [&str; 2] = [
    "cannot allocate another handle: store handle limit exceeded",
    "resource table has no free keys",
];

/// Why a call of a guest ended without an answer. `broke` is what the store's limiter saw.
pub(crate) fn describe(error: &Error, broke: Option<Broke>, limits: &CallLimits) -> String {
    let what = match error.downcast_ref::<Broke>().copied().or(broke) {
        Some(broke) => broken(broke, limits),
        None => trapped(error, limits),
    };
    match backtrace(error) {
        Some(frames) => format!("{what}; in {frames}"),
        None => what,
    }
}

fn broken(broke: Broke, limits: &CallLimits) -> String {
    match broke {
        Broke::Memory => format!("used more than {} of memory", size(limits.memory_bytes)),
        Broke::Tables => format!("used more than {} table elements", limits.table_elements),
        Broke::Time => format!("took longer than {:?}", limits.call_time),
        Broke::HostTime => format!(
            "spent more than {:?} in functions of the host",
            limits.host_time
        ),
        Broke::Given => {
            let most = size(limits.given_bytes);
            format!("took more than {most} from the host in one call")
        }
        Broke::NoJob { .. } => broke.to_string(),
    }
}

fn trapped(error: &Error, limits: &CallLimits) -> String {
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            format!("used more than {} of stack", size(limits.stack_bytes))
        }
        Some(Trap::UnreachableCodeReached) => {
            "wasm `unreachable` instruction executed (a panic or an abort)".to_owned()
        }
        Some(trap) => trap.to_string(),
        None => {
            let root = error.root_cause().to_string();
            // wasmtime's error for this is a type of its own.
            if root.starts_with("too much data is being copied") {
                let most = size(limits.handed_bytes);
                return format!("handed more than {most} to the host in one call");
            }
            if HANDLES.contains(&root.as_str()) {
                return format!("held more than {} handles at once", limits.handles);
            }
            root
        }
    }
}

/// The innermost functions, called ones first.
fn backtrace(error: &Error) -> Option<String> {
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames();
    let names = frames.iter().take(FRAMES).map(|frame| {
        let name = match frame.func_name() {
            Some(name) => printable(name),
            None => format!("function {}", frame.func_index()),
        };
        match frame.module_offset() {
            Some(offset) => format!("{name} (0x{offset:x})"),
            None => name,
        }
    });
    let told: Vec<String> = names.collect();
    (!told.is_empty()).then(|| told.join(", called by "))
}

fn printable(name: &str) -> String {
    let cut = &name[..name.floor_char_boundary(NAME_BYTES)];
    cut.chars().filter(|c| !c.is_control()).collect()
}

/// Bytes for people.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        0 => "0 bytes".to_owned(),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{} KiB", bytes >> 10),
        _ => format!("{bytes} bytes"),
    }
}
