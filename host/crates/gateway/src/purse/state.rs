//! What a purse holds, and what its next turn is: no waiting, no asking.

use std::collections::BTreeMap;

use crate::accounts::{Room, Spent, Turn, Turned};

/// As long as so many requests of the last one's size fit into what is left, the limit is far:
/// money for the next one is set aside ahead of it.
const FAR: u64 = 4;

/// What a purse holds. Money is in micro-dollars.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Where it stands with the accounts; none before the first turn.
    known: Option<Known>,
    /// Set aside, and promised to nobody.
    free: u64,
    /// To be told, by day.
    owed: BTreeMap<String, Owed>,
    /// What the next request is likely to need.
    ahead: u64,
}

#[derive(Debug)]
struct Known {
    /// The day that `free` is of.
    day: String,
    room: Option<Room>,
}

#[derive(Debug, Default)]
struct Owed {
    spent: Spent,
    freed: u64,
}

/// What somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) least: u64,
    pub(super) most: u64,
}

/// Money for one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) day: String,
    /// None where no budget holds, and nothing is set aside.
    pub(super) amount: Option<u64>,
}

impl State {
    /// What is left in the budgets; an outer none before that is known.
    pub(super) fn room(&self) -> Option<Option<&Room>> {
        self.known.as_ref().map(|known| known.room.as_ref())
    }

    /// Whether the budgets' end is so far away that the worst case may be a rough one. None before
    /// that is known.
    pub(super) fn is_far(&self, most: u64) -> Option<bool> {
        let room = self.room()?;
        Some(
            room.is_none_or(|room| room.left.saturating_add(self.free) >= most.saturating_mul(FAR)),
        )
    }

    /// Money for a request that needs `most`, and can do with `least`.
    pub(super) fn take(&mut self, least: u64, most: u64) -> Option<Taken> {
        self.ahead = most;
        let known = self.known.as_ref()?;
        let day = known.day.clone();
        if known.room.is_none() {
            return Some(Taken { day, amount: None });
        }
        let amount = self.free.min(most);
        if amount < least {
            return None;
        }
        self.free -= amount;
        Some(Taken {
            day,
            amount: Some(amount),
        })
    }

    /// A request came to this.
    pub(super) fn settle(&mut self, taken: &Taken, spent: &Spent) {
        let amount = taken.amount.unwrap_or(0);
        let used = spent.micro_usd.min(amount);
        let owed = self.owed.entry(taken.day.clone()).or_default();
        owed.spent.add(spent);
        owed.freed += used;
        match &self.known {
            Some(known) if known.day == taken.day => {
                self.free += amount - used;
                // What it cost beyond is missing in the budgets: nothing goes out for what lies
                // ready before they have said what is left.
                let missing = (spent.micro_usd - used).min(self.free);
                self.free -= missing;
                owed.freed += missing;
            }
            _ => owed.freed += amount - used,
        }
    }

    /// What is to be told and asked next; none where there is nothing. `last` gives back all that
    /// is promised to nobody.
    pub(super) fn next(&mut self, need: Option<Need>, last: bool) -> Option<Turn> {
        self.give_back(need, last);
        let mut turn = Turn::default();
        if let Some((day, owed)) = self.owed.pop_first() {
            turn.day = Some(day);
            turn.spent = owed.spent;
            turn.freed = owed.freed;
        }
        // Of other days first: what is asked for is today's.
        if self.owed.is_empty() {
            (turn.want, turn.least) = self.wish(need, last);
        }
        let asks = self.known.is_none() && !last;
        let empty = turn == Turn::default();
        (!empty || asks).then_some(turn)
    }

    fn give_back(&mut self, need: Option<Need>, last: bool) {
        let Some(known) = &self.known else { return };
        let far = self.is_far(self.ahead).unwrap_or(false);
        if self.free > 0 && (last || (need.is_none() && !far)) {
            let owed = self.owed.entry(known.day.clone()).or_default();
            owed.freed += std::mem::take(&mut self.free);
        }
    }

    fn wish(&self, need: Option<Need>, last: bool) -> (u64, u64) {
        let unlimited = self.room().is_some_and(|room| room.is_none());
        match need {
            _ if last || unlimited => (0, 0),
            Some(need) => (
                need.most.saturating_sub(self.free),
                need.least.saturating_sub(self.free),
            ),
            None if self.is_far(self.ahead) == Some(true) => {
                let more = self.ahead.saturating_sub(self.free);
                (more, more)
            }
            None => (0, 0),
        }
    }

    /// What a turn brought.
    pub(super) fn turned(&mut self, turned: Turned) {
        let Turned { day, granted, room } = turned;
        if let Some(known) = &self.known
            && known.day != day
            && self.free > 0
        {
            let owed = self.owed.entry(known.day.clone()).or_default();
            owed.freed += std::mem::take(&mut self.free);
        }
        self.free += granted;
        self.known = Some(Known { day, room });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Budget;

    fn room(left: u64, could: u64) -> Option<Room> {
        Some(Room {
            left,
            could,
            tightest: Budget {
                of: "the job".to_owned(),
                kind: pipeline::BudgetKind::Job,
                limit_micro_usd: could,
                spent_micro_usd: 0,
            },
        })
    }

    fn turned(day: &str, granted: u64, room: Option<Room>) -> Turned {
        Turned {
            day: day.to_owned(),
            granted,
            room,
        }
    }

    fn spent(micro_usd: u64) -> Spent {
        Spent {
            requests: 1,
            micro_usd,
            ..Spent::default()
        }
    }

    /// Known, and with 100 of its own.
    fn state(left: u64) -> State {
        let mut state = State::default();
        assert_eq!(state.take(1, 100), None);
        let need = Need {
            least: 10,
            most: 100,
        };
        let turn = state.next(Some(need), false).unwrap();
        assert_eq!((turn.want, turn.least), (100, 10));
        state.turned(turned("d1", 100, room(left, left + 100)));
        state
    }

    #[test]
    fn nothing_is_set_aside_where_no_budget_holds() {
        let mut state = State::default();
        state.turned(turned("d1", 0, None));
        let taken = state.take(10, 100).unwrap();
        assert_eq!(taken.amount, None);
        state.settle(&taken, &spent(70));
        let turn = state.next(None, false).unwrap();
        assert_eq!((turn.spent.micro_usd, turn.freed, turn.want), (70, 0, 0));
        assert_eq!(state.next(None, false), None);
    }

    #[test]
    fn far_from_the_limit_money_lies_ready() {
        let mut state = state(1_000);
        let taken = state.take(10, 100).unwrap();
        assert_eq!(taken.amount, Some(100));
        // The next one is asked for while this one is on its way.
        let turn = state.next(None, false).unwrap();
        assert_eq!((turn.want, turn.least, turn.freed), (100, 100, 0));
        state.turned(turned("d1", 100, room(900, 1_100)));
        state.settle(&taken, &spent(30));
        // 170 lie ready, which is enough.
        let turn = state.next(None, false).unwrap();
        assert_eq!((turn.spent.micro_usd, turn.freed, turn.want), (30, 30, 0));
        assert_eq!(state.next(None, false), None);
        let turn = state.next(None, true).unwrap();
        assert_eq!((turn.spent.micro_usd, turn.freed), (0, 170));
    }

    #[test]
    fn near_the_limit_what_isnt_needed_is_given_back() {
        let mut state = state(50);
        let taken = state.take(10, 100).unwrap();
        assert_eq!(state.next(None, false), None);
        state.settle(&taken, &spent(30));
        let turn = state.next(None, false).unwrap();
        assert_eq!((turn.spent.micro_usd, turn.freed), (30, 100));
        assert_eq!(state.take(10, 100), None);
    }

    #[test]
    fn what_cost_more_than_was_set_aside_frees_no_more_than_that() {
        let mut state = state(1_000);
        let taken = state.take(10, 100).unwrap();
        state.settle(&taken, &spent(150));
        let turn = state.next(None, false).unwrap();
        assert_eq!((turn.spent.micro_usd, turn.freed), (150, 100));
    }

    #[test]
    fn what_cost_more_than_was_set_aside_leaves_nothing_ready() {
        let mut state = state(1_000);
        let taken = state.take(10, 100).unwrap();
        state.turned(turned("d1", 100, room(900, 1_100)));
        // Of the 100 that lie ready, 70 are missing elsewhere by now.
        state.settle(&taken, &spent(170));
        assert_eq!(state.take(31, 100), None);
        let turn = state.next(None, true).unwrap();
        assert_eq!((turn.spent.micro_usd, turn.freed), (170, 200));
    }

    #[test]
    fn each_day_gets_its_own_back() {
        let mut state = state(1_000);
        let taken = state.take(10, 60).unwrap();
        state.turned(turned("d2", 5, room(1_000, 1_000)));
        state.settle(&taken, &spent(20));
        let turn = state.next(None, false).unwrap();
        assert_eq!(turn.day.as_deref(), Some("d1"));
        // 40 that lay ready, 20 that were spent, 40 that were not.
        assert_eq!((turn.spent.micro_usd, turn.freed), (20, 100));
        assert_eq!((turn.want, turn.least), (55, 55));
    }
}
