//! The limit of kube-apiserver for the user agent in events.

/// The maximum length of a user agent that is not truncated, in bytes.
const USER_AGENT_LEN_MAX: usize = 1024;
const TRUNCATED: &str = "...TRUNCATED";

/// Truncate a user agent for an event. Go may split a character; this function truncates before it.
pub fn truncate_user_agent(user_agent: &str) -> String {
    if user_agent.len() <= USER_AGENT_LEN_MAX {
        return user_agent.to_owned();
    }
    let end = user_agent.floor_char_boundary(USER_AGENT_LEN_MAX);
    [user_agent.get(..end).unwrap_or_default(), TRUNCATED].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_user_agents_are_truncated_between_characters() {
        assert_eq!(truncate_user_agent(&"a".repeat(1024)), "a".repeat(1024));
        assert_eq!(truncate_user_agent(&"a".repeat(1025)), "a".repeat(1024) + TRUNCATED);
        let split = "a".repeat(1023) + "é";
        assert_eq!(truncate_user_agent(&split), "a".repeat(1023) + TRUNCATED);
    }
}
