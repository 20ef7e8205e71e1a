//! How a run of an agent ended: what the runner saw, what the agent said and what is missing,
//! judged in one place. Whether the work is any good is the plugin's matter.

use crate::output::{AgentResult, Output, cut};
use pipeline::{Failure, FailureKind};
use runner::{Ended, How};

/// Why the run counts as failed; none where it ended well.
pub(crate) fn failure(ended: &Ended, output: &Output, reason: Option<&str>) -> Option<Failure> {
    let said = |kind, message: String| Some(Failure::new(kind, cut(&message, 2 << 10)));
    let seconds = ended.finished_at.since(ended.started_at).as_secs();
    match ended.how {
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
        (Some(408 | 409 | 429 | 500..=599), _) => FailureKind::Provider,
        (_, "error_max_budget_usd") => FailureKind::Budget,
        _ => FailureKind::AgentFailed,
    }
}

fn in_words(result: &AgentResult) -> String {
    match (result.text.as_str(), result.subtype.as_str()) {
        ("", "error_max_turns") => "the agent used up its turns".to_owned(),
        ("", subtype) => format!("the agent ended with an error ({subtype})"),
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
            api_status,
            cost_micro_usd: 0,
        };
        Output {
            result: Some(result),
            answer: String::new(),
        }
    }

    #[test]
    fn every_ending_has_its_kind() {
        let none = Output::default();
        let done = result("success", false, None);
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
            let failure = failure(&ended(how), output, None);
            assert_eq!(failure.map(|failure| failure.kind), kind, "{shown}");
        }
    }

    #[test]
    fn the_message_says_what_is_known() {
        let message = |how, reason| {
            failure(&ended(how), &Output::default(), reason)
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
