//! What is loaded on this host, and which of it serves. Readers take an immutable snapshot; a
//! change is one pointer store. It never compiles, reads a file or calls a plugin.

use crate::folder::Place;
use crate::guest::Guest;
use pipeline::{Digest, PluginPin, PluginReport, PluginReq, PluginState, RefusedFile, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Generations without a file that are kept for phases that began with them.
const KEPT: usize = 64;

/// A plugin at the time that it was loaded.
pub(crate) struct Generation {
    pub(crate) guest: Arc<Guest>,
    pub(crate) number: u64,
    pub(crate) loaded_at: Timestamp,
}

/// What readers see.
#[derive(Default)]
pub(crate) struct Snapshot {
    /// By name; the one that serves comes first.
    named: BTreeMap<String, Vec<Arc<Generation>>>,
    loaded: BTreeMap<Digest, Arc<Generation>>,
    refused: BTreeMap<Place, RefusedFile>,
}

#[derive(Default)]
pub(crate) struct Registry {
    writing: Mutex<Writing>,
    current: RwLock<Arc<Snapshot>>,
}

#[derive(Default)]
struct Writing {
    files: BTreeMap<Place, Arc<Generation>>,
    /// Also what has no file any more; in the order in which it was loaded.
    loaded: Vec<Arc<Generation>>,
    refused: BTreeMap<Place, RefusedFile>,
    numbers: BTreeMap<String, u64>,
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

    /// The digest that a file serves with.
    pub(crate) fn digest_of(&self, place: &Place) -> Option<Digest> {
        let writing = self.write();
        Some(writing.files.get(place)?.guest.pin.digest.clone())
    }

    /// A file holds again what it serves with: an older refusal of it is over.
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
        writing.files.insert(place, Arc::clone(&generation));
        writing.forget();
        self.publish(&writing);
        self.snapshot().report(&generation)
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

    /// A file is gone: who served it, where it had.
    pub(crate) fn remove(&self, place: &Place) -> Option<PluginPin> {
        let mut writing = self.write();
        writing.refused.remove(place);
        let gone = writing.files.remove(place);
        writing.forget();
        self.publish(&writing);
        gone.map(|generation| generation.guest.pin.clone())
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
        let digest = &generation.guest.pin.digest;
        self.loaded
            .retain(|other| other.guest.pin.digest != *digest);
        self.loaded.push(Arc::clone(&generation));
        generation
    }

    /// The oldest that have no file; phases that hold one still keep it alive, and its bytes can
    /// be had again.
    fn forget(&mut self) {
        let files = &self.files;
        let has_file = |generation: &Arc<Generation>| {
            let digest = &generation.guest.pin.digest;
            files
                .values()
                .any(|other| other.guest.pin.digest == *digest)
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
        for (place, generation) in &self.files {
            let name = generation.guest.manifest.name.clone();
            named.entry(name).or_default().push((place, generation));
        }
        let order = |mut found: Vec<(&Place, &Arc<Generation>)>| {
            let rank = |(place, generation): &(&Place, &Arc<Generation>)| {
                let version = generation.guest.manifest.version.clone();
                (version, place.0, generation.number)
            };
            found.sort_by_cached_key(|it| std::cmp::Reverse(rank(it)));
            found.into_iter().map(|(_, it)| Arc::clone(it)).collect()
        };
        let by_digest = |it: &Arc<Generation>| (it.guest.pin.digest.clone(), Arc::clone(it));
        Snapshot {
            named: named
                .into_iter()
                .map(|(name, all)| (name, order(all)))
                .collect(),
            loaded: self.loaded.iter().map(by_digest).collect(),
            refused: self.refused.clone(),
        }
    }
}

impl Snapshot {
    pub(crate) fn pinned(&self, digest: &Digest) -> Option<&Arc<Generation>> {
        self.loaded.get(digest)
    }

    /// The highest version that fits; of equal ones that of the later folder.
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
            let rank = |it: &PluginReport| it.state == PluginState::Kept;
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
        let stats = guest.stats.snapshot();
        PluginReport {
            name: guest.pin.name.clone(),
            version: guest.pin.version.clone(),
            digest: guest.pin.digest.clone(),
            summary: guest.manifest.summary.clone(),
            kind: "component".to_owned(),
            steps: guest.steps(),
            state: match serves {
                true => PluginState::Serving,
                false => PluginState::Kept,
            },
            generation: generation.number,
            calls: stats.calls,
            faults: stats.faults,
            p50_us: stats.p50_us,
            p99_us: stats.p99_us,
            last_error: stats.last_error,
            loaded_at: generation.loaded_at,
        }
    }
}
