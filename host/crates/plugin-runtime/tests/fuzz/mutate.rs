//! Mutants of components: most changes stay within a section and mend its length, so that many
//! still validate. It knows sections, not instructions or types.

use fastrand::Rng;

const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
/// Sections of a core module; the same numbers mean something else in a component.
const DATA: u8 = 11;
const CODE: u8 = 10;
/// Numbers at which something often ends.
const EDGES: [u32; 12] = [
    0,
    1,
    7,
    0x7f,
    0x80,
    0xffff,
    0x1_0000,
    0x1_ffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    0xffff_ffff,
];

pub(crate) struct Mutator {
    seeds: Vec<Vec<u8>>,
}

/// A module or a component: its first eight bytes and its sections.
#[derive(Clone)]
struct Whole {
    head: [u8; 8],
    sections: Vec<Section>,
}

#[derive(Clone)]
struct Section {
    id: u8,
    body: Body,
}

#[derive(Clone)]
enum Body {
    Bytes(Vec<u8>),
    Inside(Whole),
}

impl Mutator {
    pub(crate) fn new(seeds: Vec<Vec<u8>>) -> Self {
        Self { seeds }
    }

    /// The same for the same seed, and the same seeds to begin with.
    pub(crate) fn mutant(&self, seed: u64) -> Vec<u8> {
        let mut rng = Rng::with_seed(seed);
        let begin = rng.choice(&self.seeds).unwrap().clone();
        let Some(mut whole) = Whole::read(&begin).filter(|_| rng.u8(..) >= 16) else {
            return raw(&mut rng, begin);
        };
        for _ in 0..rng.usize(1..=4) {
            self.change(&mut rng, &mut whole);
        }
        let bytes = whole.bytes();
        match rng.u8(..) {
            ..8 => raw(&mut rng, bytes),
            _ => bytes,
        }
    }

    /// One change. Those that mostly validate are the likelier ones.
    fn change(&self, rng: &mut Rng, whole: &mut Whole) {
        match rng.u8(..100) {
            ..30 => words(rng, whole),
            30..50 => operators(rng, whole),
            50..60 => custom(rng, whole),
            60..75 => byte(rng, whole),
            75..82 => text(rng, whole),
            82..87 => shift(rng, whole),
            87..94 => reorder(rng, whole),
            _ => self.splice(rng, whole),
        }
    }

    /// A section of another seed.
    fn splice(&self, rng: &mut Rng, whole: &mut Whole) {
        let other = rng.choice(&self.seeds).and_then(|other| Whole::read(other));
        let Some(mut other) = other else { return };
        let from = some_inside(rng, &mut other);
        let Some(section) = rng.choice(&from.sections).cloned() else {
            return;
        };
        let to = some_inside(rng, whole);
        let same = to.sections.iter().position(|it| it.id == section.id);
        match same {
            Some(at) if rng.bool() => to.sections[at] = section,
            _ => to.sections.insert(rng.usize(..=to.sections.len()), section),
        }
    }
}

/// What damages a file on its way: bits, ends, holes, doubled parts.
fn raw(rng: &mut Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..rng.usize(1..=4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.usize(..bytes.len());
        let end = rng.usize(at..bytes.len().min(at + 64));
        match rng.u8(..6) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << rng.u8(..8),
            2 => bytes[at] = rng.u8(..),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.extend_from_within(at..end),
            _ => bytes.insert(at, rng.u8(..)),
        }
    }
    bytes
}

/// Words of data: what a guest answers with, pointers and lengths among them.
fn words(rng: &mut Rng, whole: &mut Whole) {
    for _ in 0..rng.usize(1..=6) {
        let Some(bytes) = some_bytes(rng, whole, |module, id| module && id == DATA) else {
            return;
        };
        if bytes.len() < 16 {
            return;
        }
        // Past the count, the kind and the address of the first segment.
        let at = rng.usize(8..bytes.len() - 4);
        match rng.bool() {
            true => bytes[at] = rng.u8(..),
            false => {
                let edge = EDGES[rng.usize(..EDGES.len())];
                bytes[at..at + 4].copy_from_slice(&edge.to_le_bytes());
            }
        }
    }
}

/// Another operator of the same type, or another small number, where a byte looks like one.
fn operators(rng: &mut Rng, whole: &mut Whole) {
    let Some(bytes) = some_bytes(rng, whole, |module, id| module && id == CODE) else {
        return;
    };
    if bytes.is_empty() {
        return;
    }
    for _ in 0..8 {
        let at = rng.usize(..bytes.len());
        let alike = match bytes[at] {
            // Comparisons and arithmetic, of i32 and then of i64.
            0x46..=0x4f => 0x46..=0x4f,
            0x51..=0x5a => 0x51..=0x5a,
            0x6a..=0x78 => 0x6a..=0x78,
            0x7c..=0x8a => 0x7c..=0x8a,
            0..=0x3f if rng.u8(..8) == 0 => 0..=0x3f,
            _ => continue,
        };
        bytes[at] = rng.u8(alike);
        return;
    }
}

/// Custom sections may hold anything; names of functions end in backtraces.
fn custom(rng: &mut Rng, whole: &mut Whole) {
    let inside = some_inside(rng, whole);
    let name = *rng
        .choice(&["name", "producers", "x", "component-name", "dylink.0"])
        .unwrap();
    let mut body = vec![u8::try_from(name.len()).unwrap()];
    body.extend(name.bytes());
    body.extend((0..rng.usize(..40)).map(|_| rng.u8(..)));
    let at = rng.usize(..=inside.sections.len());
    let body = Body::Bytes(body);
    inside.sections.insert(at, Section { id: 0, body });
}

fn byte(rng: &mut Rng, whole: &mut Whole) {
    let Some(bytes) = some_bytes(rng, whole, |_, _| true) else {
        return;
    };
    if bytes.is_empty() {
        return;
    }
    let at = rng.usize(..bytes.len());
    bytes[at] = match rng.u8(..4) {
        0 => bytes[at].wrapping_add(1),
        1 => bytes[at].wrapping_sub(1),
        2 => bytes[at] & 0x80 | rng.u8(..0x80),
        _ => rng.u8(..),
    };
}

/// A letter or a digit of a name or a version.
fn text(rng: &mut Rng, whole: &mut Whole) {
    let Some(bytes) = some_bytes(rng, whole, |module, id| !module || id != CODE) else {
        return;
    };
    if bytes.is_empty() {
        return;
    }
    for _ in 0..8 {
        let at = rng.usize(..bytes.len());
        if bytes[at].is_ascii_graphic() {
            bytes[at] = rng.u8(b'-'..=b'z');
            return;
        }
    }
}

/// A byte more or less.
fn shift(rng: &mut Rng, whole: &mut Whole) {
    let Some(bytes) = some_bytes(rng, whole, |_, _| true) else {
        return;
    };
    if bytes.is_empty() {
        return;
    }
    let at = rng.usize(..bytes.len());
    match rng.bool() {
        true => bytes.insert(at, rng.u8(..)),
        false => drop(bytes.remove(at)),
    }
}

fn reorder(rng: &mut Rng, whole: &mut Whole) {
    let sections = &mut some_inside(rng, whole).sections;
    if sections.is_empty() {
        return;
    }
    let (at, to) = (rng.usize(..sections.len()), rng.usize(..sections.len()));
    match rng.u8(..3) {
        0 => drop(sections.remove(at)),
        1 => sections.insert(to, sections[at].clone()),
        _ => sections.swap(at, to),
    }
}

/// The component, or a module or component in it.
fn some_inside<'a>(rng: &mut Rng, whole: &'a mut Whole) -> &'a mut Whole {
    let nested: Vec<usize> = (0..whole.sections.len())
        .filter(|at| matches!(whole.sections[*at].body, Body::Inside(_)))
        .collect();
    match rng.choice(nested).filter(|_| rng.u8(..3) > 0) {
        Some(at) => match &mut whole.sections[at].body {
            Body::Inside(inside) => some_inside(rng, inside),
            Body::Bytes(_) => unreachable!("it was nested"),
        },
        None => whole,
    }
}

/// The bytes of some section that is wanted; it is told whether that is in a module.
fn some_bytes<'a>(
    rng: &mut Rng,
    whole: &'a mut Whole,
    wanted: impl Fn(bool, u8) -> bool,
) -> Option<&'a mut Vec<u8>> {
    let mut found = Vec::new();
    whole.collect(&wanted, &mut found);
    let at = rng.usize(..found.len().max(1));
    (!found.is_empty()).then(|| found.swap_remove(at))
}

impl Whole {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = bytes.split_first_chunk::<8>()?;
        if head[..4] != COMPONENT[..4] {
            return None;
        }
        let mut sections = Vec::new();
        while let Some((&id, after)) = rest.split_first() {
            let (length, after) = leb(after)?;
            let (body, after) = after.split_at_checked(length)?;
            let nests = *head == COMPONENT && matches!(id, 1 | 4);
            let body = match nests.then(|| Self::read(body)).flatten() {
                Some(inside) => Body::Inside(inside),
                None => Body::Bytes(body.to_vec()),
            };
            sections.push(Section { id, body });
            rest = after;
        }
        Some(Self {
            head: *head,
            sections,
        })
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.to_vec();
        for section in &self.sections {
            let body = match &section.body {
                Body::Bytes(body) => body.clone(),
                Body::Inside(inside) => inside.bytes(),
            };
            bytes.push(section.id);
            let mut length = body.len();
            while length >= 0x80 {
                bytes.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
                length >>= 7;
            }
            bytes.push(u8::try_from(length).unwrap());
            bytes.extend(body);
        }
        bytes
    }

    fn collect<'a>(
        &'a mut self,
        wanted: &impl Fn(bool, u8) -> bool,
        found: &mut Vec<&'a mut Vec<u8>>,
    ) {
        let module = self.head != COMPONENT;
        for section in &mut self.sections {
            let wanted_here = wanted(module, section.id);
            match &mut section.body {
                Body::Inside(inside) => inside.collect(wanted, found),
                Body::Bytes(bytes) if wanted_here => found.push(bytes),
                Body::Bytes(_) => {}
            }
        }
    }
}

fn leb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}
