//! What is spent and set aside. How much a request can cost is the gateway's matter.

use crate::setup::*;
use pipeline::{BudgetKind, Failure, FailureKind, Input, JobId, Usage};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Ask, Booked, Booking, BudgetOf, BudgetState, Hold, Payer, Spending, TakeOver};
use tokio::sync::Barrier;

fn payer(hold: &Hold, planned: &[(BudgetKind, u64)]) -> Payer {
    let of = |(kind, micro_usd): &(BudgetKind, u64)| {
        let planned = Some(*micro_usd);
        let of = BudgetOf {
            planned,
            ..BudgetOf::default()
        };
        (*kind, of)
    };
    Payer {
        hold: hold.clone(),
        run: format!("run of {}", hold.job),
        revision: 1,
        phase: "idea".to_owned(),
        group: None,
        budgets: planned.iter().map(of).collect(),
    }
}

fn wants(turn: u64, want: u64, least: u64) -> Booking {
    Booking {
        turn,
        want,
        least,
        ..Booking::default()
    }
}

fn spent(turn: u64, day: &str, micro_usd: u64, freed: u64) -> Booking {
    Booking {
        turn,
        day: Some(day.to_owned()),
        spent: Spending {
            requests: 1,
            usage: Usage {
                cost_micro_usd: micro_usd,
                output_tokens: 5,
                ..Usage::default()
            },
            assumed_micro_usd: 0,
        },
        freed,
        ..Booking::default()
    }
}

struct Done {
    day: String,
    granted: u64,
    budgets: Vec<BudgetState>,
}

async fn book(store: &Arc<dyn Store>, payer: &Payer, booking: &Booking) -> Done {
    match store.book(payer, booking).await.unwrap() {
        Booked::Done {
            day,
            granted,
            budgets,
        } => Done {
            day,
            granted,
            budgets,
        },
        Booked::LeaseLost => panic!("the lease holds"),
    }
}

/// Spent, and set aside, of a job.
async fn of_job(store: &Arc<dyn Store>, job: JobId) -> (u64, u64) {
    let money = store.job_money(job, 1).await.unwrap().job;
    (money.spent.usage.cost_micro_usd, money.reserved)
}

pub(crate) async fn what_is_spent_adds_up_by_run_phase_job_group_and_day(bed: Bed) {
    let store = bed.open().await;
    let (_, hold) = running(&store, "a job").await;
    let grouped = Payer {
        group: Some("g%".to_owned()),
        ..payer(&hold, &[])
    };
    let day = book(&store, &grouped, &Booking::default()).await.day;
    assert_eq!(day, "2027-01-15");
    book(&store, &grouped, &spent(1, &day, 30, 0)).await;
    let other = Payer {
        run: "another run".to_owned(),
        phase: "build".to_owned(),
        ..payer(&hold, &[])
    };
    book(&store, &other, &spent(1, &day, 12, 0)).await;

    let run = store.spent_by(&grouped.run).await.unwrap();
    assert_eq!((run.usage.cost_micro_usd, run.requests), (30, 1));
    let money = store.job_money(hold.job, 1).await.unwrap();
    assert_eq!(money.job.spent.usage.cost_micro_usd, 42);
    assert_eq!(money.job.spent.usage.output_tokens, 10);
    let phases: BTreeMap<_, _> = money
        .phases
        .iter()
        .map(|(id, account)| (id.as_str(), account.spent.usage.cost_micro_usd))
        .collect();
    assert_eq!(phases, BTreeMap::from([("build", 12), ("idea", 30)]));
    // A new revision has phases of its own.
    let money = store.job_money(hold.job, 2).await.unwrap();
    assert!(money.phases.is_empty());
    let today = store.day_money().await.unwrap();
    assert_eq!(today.day, day);
    assert_eq!(today.all.spent.usage.cost_micro_usd, 42);
    assert_eq!(today.groups["g%"].spent.usage.cost_micro_usd, 30);

    bed.advance(Duration::from_secs(86_400));
    let tomorrow = store.day_money().await.unwrap();
    assert_eq!(tomorrow.day, "2027-01-16");
    assert_eq!(tomorrow.all.spent, Spending::default());
    assert!(tomorrow.groups.is_empty());
}

pub(crate) async fn every_budget_has_room_or_nothing_is_set_aside(bed: Bed) {
    let store = bed.open().await;
    let (_, hold) = running(&store, "a job").await;
    let of = payer(&hold, &[(BudgetKind::Phase, 100), (BudgetKind::Job, 70)]);
    let done = book(&store, &of, &wants(1, 60, 60)).await;
    assert_eq!(done.granted, 60);
    let states: Vec<_> = done
        .budgets
        .iter()
        .map(|it| (it.kind, it.limit, it.spent, it.reserved))
        .collect();
    assert_eq!(
        states,
        [
            (BudgetKind::Job, 70, 0, 60),
            (BudgetKind::Phase, 100, 0, 60)
        ]
    );
    assert_eq!(book(&store, &of, &wants(2, 60, 11)).await.granted, 0);
    assert_eq!(of_job(&store, hold.job).await, (0, 60));
    assert_eq!(book(&store, &of, &wants(3, 60, 10)).await.granted, 10);
    let done = book(&store, &of, &spent(4, &done.day, 25, 70)).await;
    assert_eq!(of_job(&store, hold.job).await, (25, 0));
    assert_eq!(done.budgets[0].left(), 45);
    // What isn't this run's can't be freed by it.
    book(&store, &of, &spent(5, &done.day, 0, 1_000)).await;
    assert_eq!(of_job(&store, hold.job).await, (25, 0));
}

pub(crate) async fn a_turn_that_is_told_twice_is_done_once(bed: Bed) {
    let store = bed.open().await;
    let (_, hold) = running(&store, "a job").await;
    let of = payer(&hold, &[(BudgetKind::Job, 1_000)]);
    let turn = wants(1, 100, 100);
    for _ in 0..2 {
        assert_eq!(book(&store, &of, &turn).await.granted, 100);
        assert_eq!(of_job(&store, hold.job).await, (0, 100));
    }
    let day = book(&store, &of, &turn).await.day;
    let turn = Booking {
        want: 50,
        least: 50,
        ..spent(2, &day, 30, 100)
    };
    for _ in 0..2 {
        assert_eq!(book(&store, &of, &turn).await.granted, 50);
        assert_eq!(of_job(&store, hold.job).await, (30, 50));
    }
    // Across midnight: what was set aside is that day's still.
    let turn = wants(3, 5, 5);
    book(&store, &of, &turn).await;
    bed.advance(Duration::from_secs(86_400));
    let again = book(&store, &of, &turn).await;
    assert_eq!((again.day, again.granted), (day, 5));
}

pub(crate) async fn each_day_has_its_own_money(bed: Bed) {
    let store = bed.open().await;
    let (_, hold) = running(&store, "a job").await;
    let of = Payer {
        group: Some("a".to_owned()),
        ..payer(&hold, &[(BudgetKind::Day, 100), (BudgetKind::Job, 10_000)])
    };
    let first = book(&store, &of, &wants(1, 100, 100)).await;
    assert_eq!(first.granted, 100);
    assert_eq!(book(&store, &of, &wants(2, 1, 1)).await.granted, 0);
    bed.advance(Duration::from_secs(86_400));
    // What is under way since yesterday is yesterday's, and today is new.
    let turn = Booking {
        want: 60,
        least: 60,
        ..spent(3, &first.day, 80, 100)
    };
    let second = book(&store, &of, &turn).await;
    assert_eq!(second.granted, 60);
    assert_eq!(of_job(&store, hold.job).await, (80, 60));
    let today = store.day_money().await.unwrap();
    assert_eq!((today.all.spent.requests, today.all.reserved), (0, 60));
    // The first day of everybody and of the group goes; the job's account stays.
    let day = Duration::from_secs(86_400);
    assert_eq!(store.forget_days(day).await.unwrap(), 0);
    bed.advance(day);
    assert_eq!(store.forget_days(day).await.unwrap(), 2);
    assert_eq!(of_job(&store, hold.job).await, (80, 60));
}

pub(crate) async fn what_a_dead_holder_set_aside_is_booked_in_full(bed: Bed) {
    let (store, other) = (bed.open().await, bed.open().await);
    let (_, hold) = running(&store, "a job").await;
    let of = payer(&hold, &[(BudgetKind::Job, 1_000)]);
    book(&store, &of, &wants(1, 300, 300)).await;
    bed.advance(LEASE * 2);
    let rescuer = Ask {
        take_over: TakeOver::Expired,
        ..ask("b")
    };
    let (_, next) = claim_one(&other, &rescuer).await;
    other.book_left(&next).await.unwrap();
    assert_eq!(of_job(&store, hold.job).await, (300, 0));
    let money = store.job_money(hold.job, 1).await.unwrap();
    assert_eq!(money.job.spent.assumed_micro_usd, 300);
    // The one that isn't dead after all can't tell it once more, nor spend.
    let late = store.book(&of, &spent(2, "2027-01-15", 40, 300)).await;
    assert_eq!(late.unwrap(), Booked::LeaseLost);
    assert_eq!(of_job(&store, hold.job).await, (300, 0));
    // The next one begins to count anew, and twice is once.
    let of = payer(&next, &[(BudgetKind::Job, 1_000)]);
    assert_eq!(book(&other, &of, &wants(1, 700, 700)).await.granted, 700);
    other.book_left(&next).await.unwrap();
    assert_eq!(of_job(&store, hold.job).await, (300, 700));
}

pub(crate) async fn what_nobody_holds_any_more_is_booked_in_full(bed: Bed) {
    let store = bed.open().await;
    let (job, hold) = running(&store, "a job").await;
    let of = Payer {
        group: Some("g".to_owned()),
        ..payer(&hold, &[(BudgetKind::Job, 1_000)])
    };
    book(&store, &of, &wants(1, 300, 300)).await;
    assert_eq!(store.book_orphans().await.unwrap(), 0);
    let failure = Failure::new(FailureKind::Internal, "it is broken");
    go(&store, &hold, &job, Input::Broken(failure)).await;
    store.delete(hold.job).await.unwrap();
    assert_eq!(store.book_orphans().await.unwrap(), 1);
    assert_eq!(store.book_orphans().await.unwrap(), 0);
    let today = store.day_money().await.unwrap();
    assert_eq!(today.all.spent.usage.cost_micro_usd, 300);
    assert_eq!(today.groups["g"].spent.assumed_micro_usd, 300);
    assert_eq!(today.all.reserved, 0);
}

pub(crate) async fn a_person_can_give_more_or_less(bed: Bed) {
    let store = bed.open().await;
    let (_, hold) = running(&store, "a job").await;
    let of = Payer {
        group: Some("g".to_owned()),
        ..payer(&hold, &[(BudgetKind::Phase, 10), (BudgetKind::Job, 20)])
    };
    let limits = async || -> BTreeMap<BudgetKind, u64> {
        let done = book(&store, &of, &Booking::default()).await;
        let of = |it: &BudgetState| (it.kind, it.limit);
        done.budgets.iter().map(of).collect()
    };
    use BudgetKind::{Day, Group, Job, Phase};
    assert_eq!(limits().await, BTreeMap::from([(Phase, 10), (Job, 20)]));
    let job = hold.job;
    store.set_job_budget(job, None, Some(200)).await.unwrap();
    let phase = Some((1, "idea"));
    store.set_job_budget(job, phase, Some(100)).await.unwrap();
    store.set_day_budget(Some("*"), Some(3_000)).await.unwrap();
    store.set_day_budget(None, Some(4_000)).await.unwrap();
    let given = [(Phase, 100), (Job, 200), (Group, 3_000), (Day, 4_000)];
    assert_eq!(limits().await, BTreeMap::from(given));
    store.set_day_budget(Some("g"), Some(5_000)).await.unwrap();
    assert_eq!(limits().await[&Group], 5_000);
    let money = store.job_money(job, 1).await.unwrap();
    assert_eq!(
        (money.job.own, money.phases["idea"].own),
        (Some(200), Some(100))
    );
    let today = store.day_money().await.unwrap();
    assert_eq!(
        (today.all.own, today.groups["g"].own),
        (Some(4_000), Some(5_000))
    );
    store.set_job_budget(job, None, None).await.unwrap();
    store.set_day_budget(Some("g"), None).await.unwrap();
    assert_eq!(limits().await[&Job], 20);
    assert_eq!(limits().await[&Group], 3_000);
}

/// Many runs of many jobs and a day's budget for a few of them.
pub(crate) async fn many_at_once_never_set_aside_more_than_there_is(bed: Bed) {
    let stores = [bed.open().await, bed.open().await];
    let mut payers = Vec::new();
    for _ in 0..8 {
        let (_, hold) = running(&stores[0], "a job").await;
        payers.push(payer(&hold, &[(BudgetKind::Day, 1_000)]));
    }
    let barrier = Arc::new(Barrier::new(payers.len()));
    let tasks = payers.into_iter().enumerate().map(|(n, payer)| {
        let (store, barrier) = (Arc::clone(&stores[n % 2]), Arc::clone(&barrier));
        tokio::spawn(async move {
            barrier.wait().await;
            let mut granted = 0;
            for turn in 1..=10 {
                granted += book(&store, &payer, &wants(turn, 30, 30)).await.granted;
            }
            granted
        })
    });
    let mut granted = 0;
    for task in tasks.collect::<Vec<_>>() {
        granted += task.await.unwrap();
    }
    assert_eq!(granted, 990);
    let today = stores[0].day_money().await.unwrap();
    assert_eq!(today.all.reserved, 990);
}
