//! How a run of an agent ended: what the runner saw, what the agent said and what is missing,
//! judged in one place. Whether the work is any good is the plugin's matter.

use crate::output::{AgentResult, Output, cut};
use pipeline::{Failure, FailureKind};
use runner::{Ended, How};
use std::time::Duration;

/// Why this host ended a run itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// It printed nothing for so long.
    Silent(Duration),
    /// It had said that it is done, and was still there.
    Lingers,
}

/// Why the run counts as failed; none where it ended well.
pub(crate) fn failure(
    ended: &Ended,
    output: &Output,
    reason: Option<&str>,
    overdue: Option<Overdue>,
) -> Option<Failure> {
    let said = |kind, message: String| Some(Failure::new(kind, cut(&message, 2 << 10)));
    let seconds = ended.finished_at.since(ended.started_at).as_secs();
    let how = match (ended.how, overdue) {
        (How::Exited { code }, Some(Overdue::Silent(limit)))
            if code != 0 || output.result.is_none() =>
        {
            let limit = limit.as_secs();
            return said(
                FailureKind::AgentIdle,
                format!("the agent printed nothing for {limit} s and was stopped"),
            );
        }
        // Its result alone counts.
        (How::Exited { .. }, Some(Overdue::Lingers)) => How::Exited { code: 0 },
        (how, _) => how,
    };
    match how {
        How::TimedOut | How::Exited { code: 124 } => said(
            FailureKind::AgentTimeout,
            format!("the agent was stopped after {seconds} s"),
        ),
        How::OutOfMemory => said(
            FailureKind::OutOfMemory,
            "the agent needed more memory than it may".to_owned(),
        ),
        How::Vanished => said(
            FailureKind::Interrupted,
            "the agent's run vanished before it ended".to_owned(),
        ),
        // Killed by somebody else than this host: an engine that restarted, an operator.
        How::Exited {
            code: code @ (137 | 143),
        } => said(
            FailureKind::Interrupted,
            format!("the agent was killed (exit status {code})"),
        ),
        How::Exited { code } => match &output.result {
            Some(result) if result.is_error => said(kind_of(result), in_words(result)),
            Some(result) if result.lacks_form => said(
                FailureKind::AgentFailed,
                "the agent's answer hasn't the form that was asked for".to_owned(),
            ),
            Some(_) if code == 0 => None,
            None if code == 0 => {
                let message = "the agent ended without a result line".to_owned();
                said(FailureKind::AgentFailed, message)
            }
            _ => {
                let reason = reason
                    .map(|reason| format!(": {reason}"))
                    .unwrap_or_default();
                let message = format!("the agent ended with exit status {code}{reason}");
                said(FailureKind::AgentFailed, message)
            }
        },
    }
}

fn kind_of(result: &AgentResult) -> FailureKind {
    match (result.api_status, result.subtype.as_str()) {
        // One that refuses the host's key is as good as away: no other attempt is of any use.
        (Some(401..=403 | 408 | 409 | 429 | 500..=599), _) => FailureKind::Provider,
        (_, "error_max_budget_usd") => FailureKind::Budget,
        _ => FailureKind::AgentFailed,
    }
}

fn in_words(result: &AgentResult) -> String {
    if let Some(status @ 401..=403) = result.api_status {
        return format!(
            "the provider refuses the host's key or account ({status}): {}",
            result.text
        );
    }
    let errors = match result.errors.as_str() {
        "" => String::new(),
        errors => format!(": {errors}"),
    };
    match (result.text.as_str(), result.subtype.as_str()) {
        ("", "error_max_turns") => format!("the agent used up its turns{errors}"),
        ("", subtype) => format!("the agent ended with an error ({subtype}){errors}"),
        (text, _) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::Timestamp;

    fn ended(how: How) -> Ended {
        Ended {
            how,
            exit_code: None,
            starved: false,
            started_at: Timestamp::from_millis(0),
            finished_at: Timestamp::from_millis(61_000),
        }
    }

    fn result(subtype: &str, is_error: bool, api_status: Option<u64>) -> Output {
        let text = if is_error { "why" } else { "" }.to_owned();
        let subtype = subtype.into();
        let result = AgentResult {
            subtype,
            is_error,
            text,
            errors: String::new(),
            api_status,
            lacks_form: false,
            cost_micro_usd: 0,
        };
        Output {
            result: Some(result),
            ..Output::default()
        }
    }

    #[test]
    fn every_ending_has_its_kind() {
        let none = Output::default();
        let done = result("success", false, None);
        let mut formless = done.clone();
        formless.result.as_mut().unwrap().lacks_form = true;
        for (how, output, kind) in [
            (How::Exited { code: 0 }, &done, None),
            (
                How::Exited { code: 0 },
                &none,
                Some(FailureKind::AgentFailed),
            ),
            (
                How::Exited { code: 3 },
                &none,
                Some(FailureKind::AgentFailed),
            ),
            (
                How::Exited { code: 3 },
                &done,
                Some(FailureKind::AgentFailed),
            ),
            (
                How::Exited { code: 124 },
                &done,
                Some(FailureKind::AgentTimeout),
            ),
            (
                How::Exited { code: 137 },
                &none,
                Some(FailureKind::Interrupted),
            ),
            (
                How::Exited { code: 143 },
                &none,
                Some(FailureKind::Interrupted),
            ),
            (How::TimedOut, &none, Some(FailureKind::AgentTimeout)),
            (How::OutOfMemory, &none, Some(FailureKind::OutOfMemory)),
            (How::Vanished, &done, Some(FailureKind::Interrupted)),
            (
                How::Exited { code: 1 },
                &result("success", true, Some(529)),
                Some(FailureKind::Provider),
            ),
            (
                How::Exited { code: 1 },
                &result("success", true, Some(401)),
                Some(FailureKind::Provider),
            ),
            (
                How::Exited { code: 1 },
                &result("success", true, Some(400)),
                Some(FailureKind::AgentFailed),
            ),
            (
                How::Exited { code: 0 },
                &formless,
                Some(FailureKind::AgentFailed),
            ),
            (
                How::Exited { code: 0 },
                &result("success", true, None),
                Some(FailureKind::AgentFailed),
            ),
            (
                How::Exited { code: 1 },
                &result("error_max_budget_usd", true, None),
                Some(FailureKind::Budget),
            ),
        ] {
            let shown = format!("{how:?}, {output:?}");
            let failure = failure(&ended(how), output, None, None);
            assert_eq!(failure.map(|failure| failure.kind), kind, "{shown}");
        }
    }

    #[test]
    fn who_was_ended_by_this_host_is_judged_by_why() {
        let silent = Some(Overdue::Silent(Duration::from_secs(900)));
        let lingers = Some(Overdue::Lingers);
        let done = result("success", false, None);
        let failed = result("success", true, Some(529));
        let killed = How::Exited { code: 137 };
        for (how, output, overdue, kind) in [
            (killed, &done, lingers, None),
            (killed, &failed, lingers, Some(FailureKind::Provider)),
            (
                How::OutOfMemory,
                &done,
                lingers,
                Some(FailureKind::OutOfMemory),
            ),
            (killed, &done, silent, Some(FailureKind::AgentIdle)),
            (
                How::Exited { code: 0 },
                &Output::default(),
                silent,
                Some(FailureKind::AgentIdle),
            ),
            // It was done just then.
            (How::Exited { code: 0 }, &done, silent, None),
            (How::Vanished, &done, silent, Some(FailureKind::Interrupted)),
        ] {
            let shown = format!("{how:?}, {output:?}, {overdue:?}");
            let failure = failure(&ended(how), output, None, overdue);
            assert_eq!(failure.map(|failure| failure.kind), kind, "{shown}");
        }
    }

    #[test]
    fn the_message_says_what_is_known() {
        let message = |how, reason| {
            failure(&ended(how), &Output::default(), reason, None)
                .unwrap()
                .message
        };
        assert_eq!(
            message(How::TimedOut, None),
            "the agent was stopped after 61 s"
        );
        let said = message(How::Exited { code: 64 }, Some("MODEL is missing"));
        assert_eq!(
            said,
            "the agent ended with exit status 64: MODEL is missing"
        );
    }
}
