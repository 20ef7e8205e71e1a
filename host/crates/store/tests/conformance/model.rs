//! Random sequences of what hosts and people do, against a model in memory: who may run, who gets
//! which job in which order, and that an old lease changes nothing. Each failure names its seed.

use crate::setup::*;
use pipeline::{Failure, FailureKind, Input, JobId, Lease, Limits, Status};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Acted, Ask, Committed, GateChange, GateKind, Hold, TakeOver};

const SEEDS: u64 = 12;
const STEPS: usize = 60;
const GROUP: &str = "acme";
const HOSTS: [&str; 3] = ["a", "b", "c"];

/// Where the model says that a job stands.
#[derive(Clone, Debug, PartialEq)]
enum Stand {
    /// Kept back by its group, or by a pause.
    InLine,
    /// May be claimed; with a place in its group, where one was given.
    Ready { place: bool },
    /// Held, since this time.
    Runs { hold: Hold, place: bool, since: i64 },
    /// Ended.
    Over,
}

#[derive(Clone, Debug)]
struct Known {
    id: JobId,
    grouped: bool,
    stand: Stand,
    lease: i64,
    rescues: u32,
}

/// The whole queue, in the order in which jobs came.
struct Model {
    jobs: BTreeMap<usize, Known>,
    most: Option<usize>,
    paused: bool,
}

impl Model {
    fn places(&self) -> usize {
        let has = |job: &&Known| {
            matches!(
                job.stand,
                Stand::Ready { place: true } | Stand::Runs { place: true, .. }
            )
        };
        self.jobs.values().filter(has).count()
    }

    /// Lets through whom there is room for.
    fn settle(&mut self) {
        if self.paused {
            return;
        }
        let mut places = self.places();
        for job in self
            .jobs
            .values_mut()
            .filter(|job| job.stand == Stand::InLine)
        {
            let place = job.grouped && self.most.is_some();
            if place && self.most.is_some_and(|most| places >= most) {
                continue;
            }
            places += usize::from(place);
            job.stand = Stand::Ready { place };
        }
    }

    /// A new limit puts back what is ready without a place, and counts what runs.
    fn limit(&mut self, most: Option<usize>) {
        let new = self.most.is_none() && most.is_some();
        self.most = most;
        let paused = self.paused;
        for job in self.jobs.values_mut().filter(|job| job.grouped) {
            match &mut job.stand {
                Stand::Runs { place, .. } if new => *place = true,
                Stand::Ready { place: false } if most.is_some() => job.stand = Stand::InLine,
                // What is looked at during a pause stands in its line from then on.
                Stand::Ready { .. } if paused => job.stand = Stand::InLine,
                _ => {}
            }
        }
        self.settle();
    }

    fn pause(&mut self, paused: bool) {
        self.paused = paused;
        if paused {
            for job in self.jobs.values_mut() {
                if matches!(job.stand, Stand::Ready { .. }) {
                    job.stand = Stand::InLine;
                }
            }
        }
        self.settle();
    }

    fn claimable(&self) -> Vec<usize> {
        // One that was given back during a pause is ready, and passed over.
        if self.paused {
            return Vec::new();
        }
        let ready =
            |(n, job): (&usize, &Known)| matches!(job.stand, Stand::Ready { .. }).then_some(*n);
        self.jobs.iter().filter_map(ready).collect()
    }

    fn running(&self) -> Vec<usize> {
        let runs =
            |(n, job): (&usize, &Known)| matches!(job.stand, Stand::Runs { .. }).then_some(*n);
        self.jobs.iter().filter_map(runs).collect()
    }
}

/// The numbers that one seed gives.
struct Dice(u64);

impl Dice {
    /// Less than `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let z = z ^ (z >> 31);
        usize::try_from(z % u64::try_from(sides).unwrap()).unwrap()
    }

    fn of(&mut self, from: &[usize]) -> Option<usize> {
        (!from.is_empty()).then(|| from[self.roll(from.len())])
    }
}

pub(crate) async fn random_sequences_do_what_the_model_says(bed: Bed) {
    let store = bed.open().await;
    for seed in 1..=SEEDS {
        let mut run = Run {
            store: Arc::clone(&store),
            bed: bed.clone(),
            dice: Dice(seed),
            model: Model {
                jobs: BTreeMap::new(),
                most: None,
                paused: false,
            },
            what: format!("seed {seed}"),
        };
        run.limit(None).await;
        for step in 0..STEPS {
            run.what = format!("seed {seed}, step {step}");
            run.step().await;
        }
        run.drain().await;
    }
}

struct Run {
    store: Arc<dyn Store>,
    bed: Bed,
    dice: Dice,
    model: Model,
    what: String,
}

impl Run {
    async fn step(&mut self) {
        match self.dice.roll(12) {
            0..=2 => self.submit().await,
            3..=5 => self.claim().await,
            6..=7 => self.end().await,
            8 => self.give_back().await,
            9 => self.cancel().await,
            10 => self.rescue().await,
            _ => match self.dice.roll(4) {
                0 => self.pause(!self.model.paused).await,
                1 => self.limit(None).await,
                _ => {
                    let most = 1 + self.dice.roll(3);
                    self.limit(Some(most)).await;
                }
            },
        }
        self.compare().await;
    }

    async fn submit(&mut self) {
        // Their order is that of their times.
        self.bed.advance(Duration::from_millis(1));
        let mut job = job(&self.what, self.bed.now());
        let grouped = self.dice.roll(3) > 0;
        job.group = grouped.then(|| GROUP.to_owned());
        let job = submit(&self.store, job).await;
        let known = Known {
            id: job.id,
            grouped,
            stand: Stand::InLine,
            lease: 0,
            rescues: 0,
        };
        self.model.jobs.insert(self.model.jobs.len(), known);
        self.model.settle();
    }

    fn ask(&mut self, take_over: TakeOver) -> Ask {
        let name = HOSTS[self.dice.roll(HOSTS.len())];
        let held = self.model.jobs.values().filter_map(|job| match &job.stand {
            Stand::Runs { hold, .. } => Some(hold.clone()),
            _ => None,
        });
        Ask {
            held: held.filter(|hold| hold.host == host(name)).collect(),
            limit: 1 + u32::try_from(self.dice.roll(3)).unwrap(),
            take_over,
            ..ask(name)
        }
    }

    async fn claim(&mut self) {
        let ask = self.ask(TakeOver::None);
        let wanted: Vec<usize> = self.model.claimable();
        let wanted = wanted.into_iter().take(ask.limit as usize);
        self.take(&ask, wanted.collect()).await;
    }

    /// A claim, which must give just these.
    async fn take(&mut self, ask: &Ask, wanted: Vec<usize>) {
        let claimed = self.store.claim(ask).await.unwrap();
        let got: Vec<JobId> = claimed.iter().map(|it| it.job.id).collect();
        let ids: Vec<JobId> = wanted.iter().map(|n| self.model.jobs[n].id).collect();
        assert_eq!(got, ids, "{}: {ask:?}", self.what);
        let since = self.bed.now().as_millis();
        for (n, claimed) in wanted.into_iter().zip(claimed) {
            let known = self.model.jobs.get_mut(&n).unwrap();
            assert!(claimed.lease.0 > known.lease, "{}: leases grow", self.what);
            let place = match known.stand {
                Stand::Ready { place } | Stand::Runs { place, .. } => place,
                _ => unreachable!("only these are wanted"),
            };
            known.rescues += u32::from(claimed.rescued);
            known.lease = claimed.lease.0;
            let hold = hold_of(&claimed.job, claimed.lease, &ask.host);
            let input = Input::Claimed {
                rescued: claimed.rescued,
            };
            go(&self.store, &hold, &claimed.job, input).await;
            known.stand = Stand::Runs { hold, place, since };
        }
    }

    /// One that runs, what its holder has, and a hold that is old.
    async fn held(&mut self) -> Option<(usize, Hold)> {
        let n = self.dice.of(&self.model.running())?;
        let Stand::Runs { hold, .. } = self.model.jobs[&n].stand.clone() else {
            return None;
        };
        let old = Hold {
            lease: Lease(hold.lease.0 - 1),
            ..hold.clone()
        };
        let job = self.store.job(hold.job).await.unwrap().unwrap();
        let late = change(&job, Input::GivenBack, self.bed.now());
        let lost = self.store.commit(&old, &late).await.unwrap();
        assert_eq!(lost, Committed::LeaseLost, "{}", self.what);
        Some((n, hold))
    }

    async fn end(&mut self) {
        let Some((n, hold)) = self.held().await else {
            return;
        };
        let job = self.store.job(hold.job).await.unwrap().unwrap();
        let failure = Failure::new(FailureKind::Internal, "enough");
        go(&self.store, &hold, &job, Input::Broken(failure)).await;
        self.stands(n, Stand::Over);
    }

    async fn give_back(&mut self) {
        let Some((n, hold)) = self.held().await else {
            return;
        };
        let Stand::Runs { place, .. } = self.model.jobs[&n].stand else {
            return;
        };
        let job = self.store.job(hold.job).await.unwrap().unwrap();
        go(&self.store, &hold, &job, Input::GivenBack).await;
        self.stands(n, Stand::Ready { place });
    }

    async fn cancel(&mut self) {
        let rests = |(n, job): (&usize, &Known)| {
            matches!(job.stand, Stand::InLine | Stand::Ready { .. }).then_some(*n)
        };
        let resting: Vec<usize> = self.model.jobs.iter().filter_map(rests).collect();
        let Some(n) = self.dice.of(&resting) else {
            return;
        };
        let id = self.model.jobs[&n].id;
        let acted = self
            .store
            .cancel(id, &Limits::default(), self.bed.now())
            .await;
        assert!(matches!(acted.unwrap(), Acted::Done(_)), "{}", self.what);
        self.stands(n, Stand::Over);
    }

    fn stands(&mut self, n: usize, stand: Stand) {
        self.model.jobs.get_mut(&n).unwrap().stand = stand;
        self.model.settle();
    }

    /// Everybody falls silent for longer than a lease, and one host looks.
    async fn rescue(&mut self) {
        self.bed.advance(LEASE + Duration::from_millis(1));
        let ask = self.ask(TakeOver::Expired);
        let others = |n: &usize| match &self.model.jobs[n].stand {
            Stand::Runs { hold, .. } => hold.host != ask.host,
            _ => false,
        };
        let expired = self.model.running().into_iter().filter(others);
        let wanted: Vec<usize> = expired.chain(self.model.claimable()).collect();
        // A job that was rescued too often ends, which isn't this model's matter.
        let weary = |n: &usize| self.model.jobs[n].rescues >= Limits::default().rescues;
        if !wanted.iter().any(weary) {
            self.take(&ask, wanted.into_iter().take(ask.limit as usize).collect())
                .await;
        }
    }

    async fn pause(&mut self, paused: bool) {
        let change = GateChange {
            paused: Some(paused),
            ..GateChange::default()
        };
        let set = self.store.set_gate(GateKind::Pipeline, "game", &change);
        set.await.unwrap();
        self.model.pause(paused);
    }

    async fn limit(&mut self, most: Option<usize>) {
        let change = GateChange {
            capacity: Some(most.map(|most| u32::try_from(most).unwrap())),
            ..GateChange::default()
        };
        let set = self.store.set_gate(GateKind::Group, GROUP, &change);
        set.await.unwrap();
        self.model.limit(most);
    }

    /// Every job stands where the model says.
    async fn compare(&self) {
        for known in self.model.jobs.values() {
            let job = self.store.job(known.id).await.unwrap().unwrap();
            let fits = match &known.stand {
                Stand::InLine => job.status == Status::Waiting && job.wait.is_some(),
                Stand::Ready { .. } => job.status == Status::Queued,
                Stand::Runs { hold, .. } => {
                    job.status == Status::Running && job.host.as_ref() == Some(&hold.host)
                }
                Stand::Over => job.status.is_final(),
            };
            assert!(
                fits,
                "{}: {known:?} is {:?}, {:?}",
                self.what, job.status, job.wait
            );
        }
    }

    /// Once nothing keeps them back, all of them end.
    async fn drain(&mut self) {
        self.pause(false).await;
        self.limit(None).await;
        while !self.model.claimable().is_empty() || !self.model.running().is_empty() {
            self.claim().await;
            self.end().await;
        }
        self.compare().await;
        let over = |job: &Known| job.stand == Stand::Over;
        assert!(
            self.model.jobs.values().all(over),
            "{}: a job is lost",
            self.what
        );
    }
}
