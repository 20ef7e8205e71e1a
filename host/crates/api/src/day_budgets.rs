//! What all jobs together and each group may spend in a day, and what they have. Who waited for the
//! next day's money goes on where there is money again in this one.

use crate::budgets::{BudgetView, amount};
use crate::problem::Problem;
use crate::{Shared, body};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use pipeline::{BudgetKind, Input, Job, Status, WaitReason};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{AccountState, BudgetOf, DayMoney, Filter};

/// Rows that are read at once.
const PAGE: u32 = 200;
/// The group that stands for those without their own budget.
const OTHERS: &str = "*";

type Answer = Result<Response, Problem>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DayBudget {
    /// None: no budget, but for the operator's ceiling.
    usd: Option<String>,
}

/// What all jobs together may spend each day.
pub(crate) async fn put(State(shared): State<Arc<Shared>>, request: Request) -> Answer {
    let (asked, _) = body::json::<DayBudget>(&shared, request).await?;
    let micro_usd = amount("usd", asked.usd.as_deref())?;
    set(&shared, None, micro_usd).await?;
    today(&shared).await
}

/// What the jobs of a group, or all together, may spend each day. Who waits for the next day's money
/// goes on where there is more than there was.
pub(crate) async fn set(
    shared: &Shared,
    group: Option<&str>,
    micro_usd: Option<u64>,
) -> Result<(), Problem> {
    let before = shared.money.day_money().await?;
    shared.money.set_day_budget(group, micro_usd).await?;
    let after = shared.money.day_money().await?;
    match group {
        None => {
            let limit = |money: &DayMoney| limit(shared, BudgetKind::Day, &money.all);
            if is_more(limit(&before), limit(&after)) {
                wake(shared, None, |_| true).await?;
            }
        }
        Some(group) => {
            let limit = |money: &DayMoney, name: &str| {
                limit(shared, BudgetKind::Group, &of_group(money, name))
            };
            let has_more = |job: &Job| {
                let name = job.group.as_deref();
                name.is_some_and(|name| is_more(limit(&before, name), limit(&after, name)))
            };
            let one = Some(group).filter(|group| *group != OTHERS);
            wake(shared, one, has_more).await?;
        }
    }
    Ok(())
}

fn limit(shared: &Shared, kind: BudgetKind, account: &AccountState) -> Option<u64> {
    let of = BudgetOf {
        planned: None,
        ceiling: shared.config.budgets.get(&kind).copied(),
    };
    of.limit(account.own)
}

/// None is no limit.
fn is_more(before: Option<u64>, after: Option<u64>) -> bool {
    before.is_some_and(|before| after.is_none_or(|after| after > before))
}

/// Today's money: everybody's, and each group's.
pub(crate) async fn read(State(shared): State<Arc<Shared>>) -> Answer {
    today(&shared).await
}

async fn today(shared: &Shared) -> Answer {
    let money = shared.money.day_money().await?;
    let view = |kind, account: &AccountState| BudgetView::new(kind, None, account, &shared.config);
    let groups: BTreeMap<_, _> = money
        .groups
        .keys()
        .map(|name| (name, view(BudgetKind::Group, &of_group(&money, name))))
        .collect();
    let all = view(BudgetKind::Day, &money.all);
    Ok(Json(json!({ "day": money.day, "all": all, "groups": groups })).into_response())
}

/// A group's account, with the budget that holds for it.
fn of_group(money: &DayMoney, name: &str) -> AccountState {
    let own = |name: &str| money.groups.get(name).and_then(|account| account.own);
    AccountState {
        own: own(name).or_else(|| own(OTHERS)),
        ..money.groups.get(name).cloned().unwrap_or_default()
    }
}

/// Lets jobs go on, of all groups or of one, that wait for the next day's money. Who waits for a
/// person isn't woken by money.
async fn wake(
    shared: &Shared,
    group: Option<&str>,
    has_more: impl Fn(&Job) -> bool + Send,
) -> Result<(), Problem> {
    let is_due = |job: &Job| {
        let waits = job.wait.as_ref();
        waits.is_some_and(|wait| wait.reason == WaitReason::Budget && wait.until.is_some())
            && has_more(job)
    };
    let mut filter = Filter {
        status: Some(Status::Waiting),
        group: group.map(str::to_owned),
        limit: PAGE,
        ..Filter::default()
    };
    loop {
        let page = shared.store.jobs(&filter).await?;
        let due = page.items.iter().filter(|job| is_due(job));
        for id in due.map(|job| job.id).collect::<Vec<_>>() {
            let (limits, now) = (&shared.config.limits, (shared.config.now)());
            // One that isn't there any more, or waits no longer, needs nothing.
            let _ = shared.store.act(id, Input::Resume, limits, now).await?;
        }
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_more_than_any() {
        assert!(is_more(Some(1), Some(2)) && is_more(Some(1), None));
        assert!(!is_more(Some(2), Some(2)) && !is_more(Some(2), Some(1)));
        assert!(!is_more(None, Some(9)) && !is_more(None, None));
    }

    #[test]
    fn a_group_without_its_own_budget_has_that_of_the_others() {
        let account = |own| AccountState {
            own,
            ..AccountState::default()
        };
        let mut money = DayMoney::default();
        money.groups.insert(OTHERS.to_owned(), account(Some(5)));
        money.groups.insert("own".to_owned(), account(Some(7)));
        money.groups.insert("spent".to_owned(), account(None));
        let own = |name| of_group(&money, name).own;
        assert_eq!(
            [own("own"), own("spent"), own("new")],
            [Some(7), Some(5), Some(5)]
        );
    }
}
