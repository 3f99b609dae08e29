//! Generates names of objects, as `k8s.io/apiserver/pkg/storage/names`.

/// Length to which `generateName` is cut before random characters are added.
const GENERATE_NAME_BASE_MAX: usize = 58;
/// Number of random characters after `generateName`.
const GENERATE_NAME_SUFFIX: usize = 5;
/// Alphabet of generated names, without vowels and characters that look alike.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Generates a name from `base` and random characters.
pub fn generate(base: &str) -> String {
    let mut end = base.len().min(GENERATE_NAME_BASE_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = base.get(..end).unwrap_or_default().to_owned();
    name.extend(random().chars().take(GENERATE_NAME_SUFFIX));
    name
}

/// Returns sixteen random characters that are valid in names.
pub fn random() -> String {
    // Bytes 6 and 8 of a version 4 UUID are not fully random; only 14 would remain.
    let (first, second) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let bytes = first.as_bytes().iter().chain(second.as_bytes());
    bytes
        .enumerate()
        .filter(|(at, _)| !matches!(at % 16, 6 | 8))
        .take(16)
        .map(|(_, byte)| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validation::dns1123_subdomain;

    #[test]
    fn a_generated_name_is_truncated_and_ends_in_five_characters() {
        let name = generate(&"a".repeat(80));
        assert_eq!(name.len(), 63);
        assert_eq!(generate("run-").len(), 9);
        assert_eq!(dns1123_subdomain(&name), Vec::<String>::new());
        assert_ne!(random(), random());
    }
}
