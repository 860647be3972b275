//! Texts that fit a pattern, whatever its signs are.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Any run of characters.
    Any,
    /// One character.
    One,
    Just(char),
}

/// In time that grows with text times pattern at most.
pub fn fits(pattern: &[Part], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut i, mut j, mut star) = (0, 0, None);
    while j < text.len() {
        match pattern.get(i) {
            Some(Part::Any) => {
                star = Some((i, j));
                i += 1;
            }
            Some(p) if *p == Part::One || *p == Part::Just(text[j]) => (i, j) = (i + 1, j + 1),
            _ => {
                let Some((s, t)) = star else { return false };
                star = Some((s, t + 1));
                (i, j) = (s + 1, t + 1);
            }
        }
    }
    pattern[i..].iter().all(|p| *p == Part::Any)
}
