//! Names and filters of topics. Source: MQTT 3.1.1, section 4.7.

/// Whether `text` can be the name of a topic: not empty, no wildcard, no NUL, at most 65,535 bytes.
pub fn is_name(text: &str) -> bool {
    is_text(text) && !text.contains(['+', '#'])
}

/// Whether `text` can be a filter: as a name, but `+` may stand for a whole level and `#` for the last levels.
pub fn is_filter(text: &str) -> bool {
    is_text(text)
        && text.split('/').rev().enumerate().all(|(from_end, level)| match level {
            "+" => true,
            "#" => from_end == 0,
            _ => !level.contains(['+', '#']),
        })
}

fn is_text(text: &str) -> bool {
    !text.is_empty() && u16::try_from(text.len()).is_ok() && !text.contains('\0')
}

/// Whether a subscription to `filter` covers the topic `name`. Both have to be valid.
pub fn matches(filter: &str, name: &str) -> bool {
    // Wildcards at the start never reach the topics that a server keeps for itself.
    if name.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = name.split('/');
    for wanted in filter.split('/') {
        // `#` covers its parent too: `a/#` covers `a`.
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_text_and_no_wildcard() {
        for good in ["/", "a", "/a/b", "a//b", "主题", "a b", "$SYS/x", &"x".repeat(65_535)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a/+", "#", "a+b", "a\0", &"x".repeat(65_536)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_filter_has_wildcards_only_for_whole_levels_and_hash_only_last() {
        for good in ["#", "+", "/+", "a/#", "+/+/#", "a/+/b", "/", "a"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "##", "a/b+", "\0"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }

    #[test]
    fn a_filter_matches_by_level() {
        for (filter, name, want) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b", "a", false),
            ("a/+", "a/b", true),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("+", "a", true),
            ("+", "/a", false),
            ("+/+", "/a", true),
            ("/+", "/a", true),
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a/b/d", false),
            ("#", "a/b/c", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("+/#", "a", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("A", "a", false),
        ] {
            assert_eq!(matches(filter, name), want, "{filter} on {name}");
        }
    }
}
