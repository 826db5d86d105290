//! Lists in pages: a stable order, and a cursor that names the last one seen. What is added later is found on later pages;
//! what was seen is not shown twice.

use super::failure::ApiFailure;
use vettid_wire::base64::{decode_url, encode_url};

/// Entries of a page that does not say how many.
const USUAL: usize = 50;
/// Entries of a page at most.
pub(super) const MOST: u16 = 200;

/// The page after the cursor, and the cursor of the next one if there is more. `key` gives each entry its place; keys are
/// unique, and a page is in their order.
pub(super) fn page<T>(
    mut all: Vec<T>,
    limit: Option<u16>,
    cursor: Option<&str>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), ApiFailure> {
    let limit = match limit {
        None => USUAL,
        Some(limit) if (1..=MOST).contains(&limit) => usize::from(limit),
        Some(_) => return Err(ApiFailure::unsound("limit: 1 to 200")),
    };
    let after = cursor.map(read).transpose()?;
    all.sort_by_cached_key(&key);
    all.retain(|one| after.as_ref().is_none_or(|after| key(one) > *after));
    let is_more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| is_more).map(|last| encode_url(key(last).as_bytes()));
    Ok((all, next))
}

fn read(cursor: &str) -> Result<String, ApiFailure> {
    let text = decode_url(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| ApiFailure::unsound("cursor: `next_cursor` of the page before"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_although_the_list_changes() {
        let mut all: Vec<u32> = vec![30, 10, 20, 50, 40];
        let key = |one: &u32| format!("{one:04}");
        let (first, next) = page(all.clone(), Some(2), None, key).unwrap();
        assert_eq!(first, [10, 20]);
        all.retain(|one| *one != 20);
        all.extend([5, 25]);
        let (second, next) = page(all.clone(), Some(2), next.as_deref(), key).unwrap();
        assert_eq!(second, [25, 30]);
        let (third, next) = page(all, Some(2), next.as_deref(), key).unwrap();
        assert_eq!((third, next), (vec![40, 50], None));
    }

    #[test]
    fn a_page_has_a_size_and_a_cursor_is_one_of_ours() {
        let key = |one: &u32| format!("{one:04}");
        for limit in [0, MOST + 1, u16::MAX] {
            assert_eq!(page(vec![1], Some(limit), None, key).unwrap_err(), ApiFailure::unsound("limit: 1 to 200"));
        }
        let refused = page(vec![1], None, Some("not a cursor"), key).unwrap_err();
        assert!(matches!(refused, ApiFailure::Unsound(said) if said.starts_with("cursor")));
        assert_eq!(page((0..60).collect(), None, None, key).unwrap().0.len(), USUAL);
    }
}
