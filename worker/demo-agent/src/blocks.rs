//! Fenced blocks in a prompt that are addressed to this agent. Nothing else of a
//! prompt is understood.

/// One file that the prompt asks to be written as it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) path: String,
    pub(crate) content: String,
}

/// All blocks whose info string is `demo-agent write PATH`, in their order. A
/// fence that is never closed reaches to the end, as in CommonMark.
pub(crate) fn find(prompt: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = prompt.lines();
    while let Some(line) = lines.next() {
        let Some((fence, info)) = opening(line) else {
            continue;
        };
        let mut content = String::new();
        for line in lines.by_ref() {
            if closes(line, fence) {
                break;
            }
            content.push_str(line);
            content.push('\n');
        }
        if let Some(path) = info.strip_prefix("demo-agent write ") {
            blocks.push(Block {
                path: path.trim().to_owned(),
                content,
            });
        }
    }
    blocks
}

fn opening(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let info = line.trim_start_matches(mark);
    let length = line.len() - info.len();
    (length >= 3).then(|| (&line[..length], info.trim()))
}

fn closes(line: &str, fence: &str) -> bool {
    let line = line.trim();
    line.starts_with(fence) && line.trim_start_matches(&fence[..1]).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blocks_addressed_to_the_agent_are_taken() {
        let prompt = "Hi\n```json\n{}\n```\n````demo-agent write a/b.txt\n```\nx\n````\nend\n~~~ demo-agent write c\ny";
        let found = find(prompt);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].path, "a/b.txt");
        assert_eq!(found[0].content, "```\nx\n");
        assert_eq!(
            (found[1].path.as_str(), found[1].content.as_str()),
            ("c", "y\n")
        );
    }

    #[test]
    fn a_block_inside_another_fence_is_text() {
        assert!(find("````md\n```demo-agent write x\nno\n```\n````\n").is_empty());
    }
}
