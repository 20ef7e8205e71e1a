//! The `anthropic-beta` header, word by word: those that change only what the
//! model sees or how it answers may pass. Words that let the provider reach out
//! or keep something are not in the list, and neither is what nobody knows yet.

/// Families of words, without their date: the CLI's next version brings the same
/// word with another date.
const PASS: &[&str] = &[
    "advanced-tool-use",
    "cache-diagnosis",
    "claude-code",
    "claude-code-side-query",
    "compact",
    "computer-use",
    "context-1m",
    "context-hint",
    "context-management",
    "dev-full-thinking",
    "effort",
    "extended-cache-ttl",
    "fine-grained-tool-streaming",
    "inline-tools",
    "interleaved-thinking",
    "max-tokens-3-5-sonnet",
    "mid-conversation-system",
    "mid-conversation-system-clear-at",
    "mid-conversation-tool-changes",
    "model-context-window-exceeded",
    "oauth",
    "output-128k",
    "output-300k",
    "pdfs",
    "per-turn-control",
    "prompt-caching",
    "prompt-caching-scope",
    "redact-thinking",
    "search-results",
    "structured-outputs",
    "task-budgets",
    "thinking-display-updates",
    "thinking-token-count",
    "timing",
    "token-counting",
    "token-efficient-tools",
    "tool-examples",
    "tool-search-tool",
];

/// The words of one header that pass, and those that don't, cut to a length that
/// a log can take.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) passed: Vec<String>,
    pub(crate) stripped: Vec<String>,
}

impl Words {
    pub(crate) fn add(&mut self, header: &str) {
        for word in header.split(',').map(str::trim).filter(|w| !w.is_empty()) {
            if family(word).is_some_and(|family| PASS.contains(&family)) {
                self.passed.push(word.to_owned());
            } else {
                self.stripped.push(loggable(word));
            }
        }
    }
}

/// `effort` of `effort-2025-11-24`, `claude-code` of `claude-code-20250219`.
fn family(word: &str) -> Option<&str> {
    let rest = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let date: String = word[rest.len()..].chars().filter(|c| *c != '-').collect();
    // `output-128k-2025-02-19` ends its family with a letter, and all others do too.
    (date.len() == 8).then_some(rest)
}

fn loggable(word: &str) -> String {
    word.chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(header: &str) -> Words {
        let mut words = Words::default();
        words.add(header);
        words
    }

    #[test]
    fn what_the_cli_sends_passes() {
        let sent = "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,advanced-tool-use-2025-11-20,effort-2025-11-24,thinking-display-updates-2026-08-18";
        let words = words(sent);
        assert_eq!(words.passed.join(","), sent);
        assert!(words.stripped.is_empty());
    }

    #[test]
    fn what_reaches_out_or_stays_behind_is_stripped() {
        for word in [
            "mcp-client-2025-11-20",
            "files-api-2025-04-14",
            "web-fetch-2025-09-10",
            "web-search-2025-03-05",
            "code-execution-2025-08-25",
            "skills-2025-10-02",
            "message-batches-2024-09-24",
            "advisor-tool-2026-03-01",
            "server-side-fallback-2026-07-01",
            "message-threads-2026-08-12",
            "managed-agents-2026-04-01",
            "fast-mode-2026-02-01",
            "nobody-knows-2031-01-01",
            "effort",
            "effort-2025",
        ] {
            let words = words(word);
            assert_eq!(words.stripped, [word], "{word}");
            assert!(words.passed.is_empty(), "{word}");
        }
    }

    #[test]
    fn a_word_is_cut_for_the_log() {
        let words = words(&format!("a\n{}", "x".repeat(1000)));
        assert_eq!(words.stripped[0].len(), 64);
        assert!(!words.stripped[0].contains('\n'));
    }
}
