//! Finds the known name that a mistyped one was meant to be.

/// The candidate nearest to `name`, if one is near enough to be worth a question.
///
/// Near means: at most one edit in three letters (an insertion, a deletion, a replacement or two neighbours swapped), or
/// one the beginning of the other. Upper and lower case are the same, and so are `-` and `_`, so that ECS' `desiredCount` finds
/// `desired_count`. Of several equally near the first wins.
pub fn nearest<'n>(name: &str, candidates: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let name = folded(name);
    let mut best: Option<(usize, &'n str)> = None;
    for candidate in candidates {
        let folded = folded(candidate);
        let allowed = (name.len().max(folded.len()) / 3).max(1);
        let distance = if name.len() >= 3 && folded.starts_with(&name) {
            // A beginning is a better guess than any number of edits that is just within the limit.
            allowed.min(2)
        } else {
            edit_distance(&name, &folded)
        };
        let is_shared = distance < name.len().max(folded.len());
        if is_shared && distance <= allowed && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn folded(name: &str) -> Vec<char> {
    name.chars().flat_map(char::to_lowercase).map(|letter| if letter == '-' { '_' } else { letter }).collect()
}

/// Edits between two names, a swap of neighbours counting as one (optimal string alignment).
fn edit_distance(from: &[char], to: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, &a) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &b) in to.iter().enumerate() {
            let replaced = last[column] + usize::from(a != b);
            let mut least = replaced.min(last[column + 1] + 1).min(current[column] + 1);
            if row > 0 && column > 0 && a == to[column - 1] && from[row - 1] == b {
                least = least.min(before_last[column - 1] + 1);
            }
            current.push(least);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, candidates: &[&str], expected: Option<&str>) {
        assert_eq!(nearest(name, candidates.iter().copied()), expected, "nearest to {name:?}");
    }

    /// Claim: mistakes that people make are found. Method: one of each kind.
    #[test]
    fn finds_mistyped_names() {
        let keys = ["desired_count", "name", "min_size", "max_size", "tags"];
        check("desird_count", &keys, Some("desired_count"));
        check("desiredCount", &keys, Some("desired_count"));
        check("desired-count", &keys, Some("desired_count"));
        check("nmae", &keys, Some("name"));
        check("max", &keys, Some("max_size"));
        check("TAGS", &keys, Some("tags"));
    }

    /// Claim: a name that is like none is given none. Method: short and long strangers.
    #[test]
    fn leaves_strangers_alone() {
        let keys = ["desired_count", "name", "at"];
        check("colour", &keys, None);
        check("x", &["y"], None);
        check("", &keys, None);
        check("replicas", &keys, None);
    }
}
