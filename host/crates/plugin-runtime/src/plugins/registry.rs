//! What is loaded on this host, and which of it serves. Readers take an immutable snapshot; a
//! change is one pointer store. It never compiles, reads a file or calls a plugin.

use crate::folder::Place;
use crate::guest::Guest;
use pipeline::{
    Digest, HoldKind, PluginHold, PluginPin, PluginReport, PluginReq, PluginState, RefusedFile,
    Timestamp,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Generations without a file that are kept for phases that began with them.
const KEPT: usize = 64;
/// Older generations of a file that stay ready, so that a rollback is one pointer store.
const OLDER: usize = 2;

/// A plugin at the time that it was loaded.
pub(crate) struct Generation {
    pub(crate) guest: Arc<Guest>,
    pub(crate) number: u64,
    pub(crate) loaded_at: Timestamp,
}

impl Generation {
    pub(crate) fn digest(&self) -> &Digest {
        &self.guest.pin.digest
    }
}

/// What readers see.
#[derive(Default)]
pub(crate) struct Snapshot {
    /// By name; the one that serves comes first.
    named: BTreeMap<String, Vec<Arc<Generation>>>,
    loaded: BTreeMap<Digest, Arc<Generation>>,
    refused: BTreeMap<Place, RefusedFile>,
    held: BTreeMap<Digest, PluginHold>,
}

#[derive(Default)]
pub(crate) struct Registry {
    writing: Mutex<Writing>,
    current: RwLock<Arc<Snapshot>>,
}

#[derive(Default)]
struct Writing {
    /// What each file held, the newest last. The newest that isn't held is what it offers.
    files: BTreeMap<Place, Vec<Arc<Generation>>>,
    /// Also what has no file any more; in the order in which it was loaded.
    loaded: Vec<Arc<Generation>>,
    refused: BTreeMap<Place, RefusedFile>,
    numbers: BTreeMap<String, u64>,
    held: BTreeMap<Digest, PluginHold>,
}

impl Registry {
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    fn write(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, writing: &Writing) {
        let snapshot = Arc::new(writing.snapshot());
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// The digest that a file holds.
    pub(crate) fn digest_of(&self, place: &Place) -> Option<Digest> {
        let writing = self.write();
        Some(writing.files.get(place)?.last()?.digest().clone())
    }

    /// A file holds again what it did: an older refusal of it is over.
    pub(crate) fn same(&self, place: &Place) {
        let mut writing = self.write();
        if writing.refused.remove(place).is_some() {
            self.publish(&writing);
        }
    }

    /// A file was accepted: it replaces its own generation.
    pub(crate) fn accept(&self, place: Place, guest: Arc<Guest>, at: Timestamp) -> PluginReport {
        let mut writing = self.write();
        let generation = writing.load(guest, at);
        writing.refused.remove(&place);
        let file = writing.files.entry(place).or_default();
        file.retain(|older| older.digest() != generation.digest());
        file.push(Arc::clone(&generation));
        let surplus = file.len().saturating_sub(OLDER + 1);
        file.drain(..surplus);
        writing.forget();
        self.publish(&writing);
        self.snapshot().report(&generation)
    }

    /// What a file held before, for one that offers nothing: it is held, or refused.
    pub(crate) fn fall_back(&self, place: &Place, guest: Arc<Guest>, at: Timestamp) {
        let mut writing = self.write();
        let generation = writing.load(guest, at);
        let file = writing.files.entry(place.clone()).or_default();
        file.retain(|other| other.digest() != generation.digest());
        file.insert(0, generation);
        self.publish(&writing);
    }

    /// Bytes without a file here, for a phase that began with them on another host.
    pub(crate) fn keep(&self, guest: Arc<Guest>, at: Timestamp) -> Arc<Generation> {
        let mut writing = self.write();
        let generation = writing.load(guest, at);
        writing.forget();
        self.publish(&writing);
        generation
    }

    /// A file may not serve: what it served with goes on.
    pub(crate) fn refuse(&self, place: Place, refused: RefusedFile) {
        let mut writing = self.write();
        writing.refused.insert(place, refused);
        self.publish(&writing);
    }

    /// A file is gone: who it held, where it held one.
    pub(crate) fn remove(&self, place: &Place) -> Option<PluginPin> {
        let mut writing = self.write();
        writing.refused.remove(place);
        let gone = writing.files.remove(place);
        writing.forget();
        self.publish(&writing);
        gone.and_then(|file| file.last().map(|generation| generation.guest.pin.clone()))
    }

    /// Which digests may not answer, in place of those before; whether that changes anything.
    pub(crate) fn hold(&self, holds: Vec<PluginHold>) -> bool {
        let held = holds
            .into_iter()
            .map(|hold| (hold.pin.digest.clone(), hold));
        let held: BTreeMap<Digest, PluginHold> = held.collect();
        let mut writing = self.write();
        if writing.held == held {
            return false;
        }
        writing.held = held;
        self.publish(&writing);
        true
    }

    /// Files that offer nothing, since what they hold is refused or may not answer.
    pub(crate) fn without_offer(&self) -> Vec<Place> {
        let writing = self.write();
        let places = writing.files.keys().chain(writing.refused.keys());
        let mut without: Vec<Place> = places
            .filter(|place| writing.offer(place).is_none())
            .cloned()
            .collect();
        without.dedup();
        without
    }
}

impl Writing {
    fn load(&mut self, guest: Arc<Guest>, at: Timestamp) -> Arc<Generation> {
        let number = self.numbers.entry(guest.manifest.name.clone()).or_default();
        *number += 1;
        let generation = Arc::new(Generation {
            number: *number,
            loaded_at: at,
            guest,
        });
        let digest = generation.digest();
        self.loaded.retain(|other| other.digest() != digest);
        self.loaded.push(Arc::clone(&generation));
        generation
    }

    /// What a file has to offer: the newest of what it held that may answer.
    fn offer(&self, place: &Place) -> Option<&Arc<Generation>> {
        let file = self.files.get(place)?;
        file.iter()
            .rev()
            .find(|it| !self.held.contains_key(it.digest()))
    }

    /// The oldest that have no file; phases that hold one still keep it alive, and its bytes can
    /// be had again.
    fn forget(&mut self) {
        let files = &self.files;
        let has_file = |generation: &Arc<Generation>| {
            let mut held = files.values().flatten();
            held.any(|other| other.digest() == generation.digest())
        };
        let without = self.loaded.iter().filter(|it| !has_file(it)).count();
        let mut surplus = without.saturating_sub(KEPT);
        self.loaded.retain(|generation| {
            let drop = surplus > 0 && !has_file(generation);
            surplus -= usize::from(drop);
            !drop
        });
    }

    fn snapshot(&self) -> Snapshot {
        let mut named: BTreeMap<String, Vec<(&Place, &Arc<Generation>)>> = BTreeMap::new();
        for place in self.files.keys() {
            if let Some(generation) = self.offer(place) {
                let name = generation.guest.manifest.name.clone();
                named.entry(name).or_default().push((place, generation));
            }
        }
        let order = |mut found: Vec<(&Place, &Arc<Generation>)>| {
            let rank = |(place, generation): &(&Place, &Arc<Generation>)| {
                let version = generation.guest.manifest.version.clone();
                // Of two files of one name and version the later name: when they landed differs
                // from host to host.
                (version, place.0, place.1.clone())
            };
            found.sort_by_cached_key(|it| std::cmp::Reverse(rank(it)));
            found.into_iter().map(|(_, it)| Arc::clone(it)).collect()
        };
        let by_digest = |it: &Arc<Generation>| (it.digest().clone(), Arc::clone(it));
        Snapshot {
            named: named
                .into_iter()
                .map(|(name, all)| (name, order(all)))
                .collect(),
            loaded: self.loaded.iter().map(by_digest).collect(),
            refused: self.refused.clone(),
            held: self.held.clone(),
        }
    }
}

impl Snapshot {
    /// What is loaded, whether it may answer or not.
    pub(crate) fn loaded(&self, digest: &Digest) -> Option<&Arc<Generation>> {
        self.loaded.get(digest)
    }

    /// Why a digest may not answer.
    pub(crate) fn held(&self, digest: &Digest) -> Option<&PluginHold> {
        self.held.get(digest)
    }

    /// Every hold on a plugin of this name.
    pub(crate) fn holds_on(&self, name: &str) -> impl Iterator<Item = &PluginHold> {
        self.held.values().filter(move |hold| hold.pin.name == name)
    }

    /// The highest version that fits; of equal ones that of the later folder, then name.
    pub(crate) fn serving(&self, wanted: &PluginReq) -> Option<&Arc<Generation>> {
        let fits = |generation: &&Arc<Generation>| {
            let version = &generation.guest.manifest.version;
            wanted
                .version
                .as_ref()
                .is_none_or(|req| req.matches(version))
        };
        self.named.get(&wanted.name)?.iter().find(fits)
    }

    /// Versions of a name that have a file, highest first.
    pub(crate) fn versions(&self, name: &str) -> Vec<String> {
        let all = self.named.get(name).into_iter().flatten();
        all.map(|generation| generation.guest.manifest.version.to_string())
            .collect()
    }

    pub(crate) fn refused(&self) -> Vec<RefusedFile> {
        self.refused.values().cloned().collect()
    }

    /// Every loaded generation, those that serve first.
    pub(crate) fn reports(&self) -> Vec<PluginReport> {
        let mut all: Vec<PluginReport> = self.loaded.values().map(|it| self.report(it)).collect();
        all.sort_by(|a, b| {
            let rank = |it: &PluginReport| it.state != PluginState::Serving;
            (rank(a), &a.name, b.generation).cmp(&(rank(b), &b.name, a.generation))
        });
        all
    }

    pub(crate) fn report(&self, generation: &Generation) -> PluginReport {
        let guest = &generation.guest;
        let first = self
            .named
            .get(&guest.manifest.name)
            .and_then(|all| all.first());
        let serves = first.is_some_and(|it| it.guest.pin.digest == guest.pin.digest);
        let held = self.held.get(&guest.pin.digest);
        let stats = guest.stats.snapshot();
        PluginReport {
            name: guest.pin.name.clone(),
            version: guest.pin.version.clone(),
            digest: guest.pin.digest.clone(),
            summary: guest.manifest.summary.clone(),
            kind: guest.kind().to_owned(),
            interface: guest.interface().to_owned(),
            steps: guest.steps().words(),
            state: match (held.map(|hold| hold.kind), serves) {
                (Some(HoldKind::RolledBack), _) => PluginState::RolledBack,
                (Some(HoldKind::Quarantined), _) => PluginState::Quarantined,
                (None, true) => PluginState::Serving,
                (None, false) => PluginState::Kept,
            },
            generation: generation.number,
            calls: stats.calls,
            faults: stats.faults,
            p50_us: stats.p50_us,
            p99_us: stats.p99_us,
            last_error: stats.last_error,
            loaded_at: generation.loaded_at,
            held: held.map(|hold| hold.message.clone()),
        }
    }
}
