//! What hosts know of a provider together. When a breaker opens is `pipeline`'s matter.

use crate::setup::*;
use pipeline::{BreakerGate, BreakerRule, JobId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use uuid::Uuid;

const PROVIDER: &str = "api.example";

const RULE: BreakerRule = BreakerRule {
    jobs: 3,
    first: Duration::from_secs(30),
    longest: Duration::from_secs(900),
    probe: Duration::from_secs(120),
};

fn any_job() -> JobId {
    JobId(Uuid::now_v7())
}

pub(crate) async fn an_outage_that_one_host_sees_holds_back_the_others(bed: Bed) {
    let (store, other) = (bed.open().await, bed.open().await);
    let ask = |job| other.ask_breaker(PROVIDER, job, &RULE);
    assert_eq!(ask(any_job()).await.unwrap(), BreakerGate::Go);
    let first = bed.now();
    let alone = any_job();
    for _ in 0..5 {
        let opened = store.provider_failed(PROVIDER, alone, &RULE).await;
        assert_eq!(opened.unwrap(), None, "a job alone");
    }
    let fails = |job| store.provider_failed(PROVIDER, job, &RULE);
    assert_eq!(fails(any_job()).await.unwrap(), None);
    assert_eq!(ask(any_job()).await.unwrap(), BreakerGate::Go);
    let opened = fails(any_job()).await.unwrap().unwrap();
    let until = bed.now().after(RULE.first);
    assert_eq!(opened.away(), Some((first, until)));
    let known = other.breakers().await.unwrap();
    assert_eq!(known[PROVIDER], opened);
    // Another provider is another matter.
    let elsewhere = other.ask_breaker("other.example", any_job(), &RULE);
    assert_eq!(elsewhere.await.unwrap(), BreakerGate::Go);

    let BreakerGate::Wait { pause, since } = ask(any_job()).await.unwrap() else {
        panic!("it is open")
    };
    assert_eq!(since, first);
    assert!(RULE.first <= pause && pause <= RULE.first * 9 / 8);
    bed.advance(RULE.first);
    let probe = any_job();
    assert_eq!(ask(probe).await.unwrap(), BreakerGate::Probe);
    assert!(matches!(
        ask(any_job()).await.unwrap(),
        BreakerGate::Wait { .. }
    ));
    let again = fails(probe).await.unwrap().unwrap();
    let until = bed.now().after(RULE.first * 2);
    assert_eq!(again.away(), Some((first, until)));
    bed.advance(RULE.first * 2);
    assert_eq!(ask(any_job()).await.unwrap(), BreakerGate::Probe);
    assert!(store.provider_answered(PROVIDER).await.unwrap());
    assert!(!store.provider_answered(PROVIDER).await.unwrap());
    assert_eq!(ask(any_job()).await.unwrap(), BreakerGate::Go);
    assert_eq!(other.breakers().await.unwrap()[PROVIDER].away(), None);
}

pub(crate) async fn of_many_that_ask_at_once_one_probes(bed: Bed) {
    let stores = [bed.open().await, bed.open().await];
    for round in 0..10 {
        for _ in 0..3 {
            stores[0]
                .provider_failed(PROVIDER, any_job(), &RULE)
                .await
                .unwrap();
        }
        bed.advance(RULE.first);
        let barrier = Arc::new(Barrier::new(8));
        let asked = (0..8).map(|n| {
            let (store, barrier) = (stores[n % 2].clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                store.ask_breaker(PROVIDER, any_job(), &RULE).await.unwrap()
            })
        });
        let mut probes = 0;
        for gate in asked.collect::<Vec<_>>() {
            probes += usize::from(gate.await.unwrap() == BreakerGate::Probe);
        }
        assert_eq!(probes, 1, "round {round}");
        stores[1].provider_answered(PROVIDER).await.unwrap();
    }
}

pub(crate) async fn failures_noted_at_once_are_counted_together(bed: Bed) {
    let stores = [bed.open().await, bed.open().await];
    for round in 0..10 {
        let barrier = Arc::new(Barrier::new(3));
        let noted = (0..3).map(|n| {
            let (store, barrier) = (stores[n % 2].clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                let opened = store.provider_failed(PROVIDER, any_job(), &RULE).await;
                opened.unwrap().is_some()
            })
        });
        let mut opened = 0;
        for note in noted.collect::<Vec<_>>() {
            opened += usize::from(note.await.unwrap());
        }
        assert_eq!(opened, 1, "round {round}");
        stores[0].provider_answered(PROVIDER).await.unwrap();
    }
}
