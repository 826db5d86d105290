//! How much of what is bounded may go to pages that anybody may open. The rest is for programs that have an API key, and what the
//! browsers of one network take leaves room for those of others.

/// Of so many places those that pages may take: three quarters.
pub(crate) const fn of_anybody(most: usize) -> usize {
    at_least_one(most / 4 * 3 + most % 4 * 3 / 4)
}

/// Of those the ones that the browsers of one network may take: an eighth.
pub(crate) const fn of_one_network(most: usize) -> usize {
    at_least_one(of_anybody(most) / 8)
}

const fn at_least_one(places: usize) -> usize {
    if places == 0 { 1 } else { places }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_other_networks_have_room() {
        for (most, pages, network) in [(1, 1, 1), (2, 1, 1), (8, 6, 1), (1024, 768, 96), (4096, 3072, 384)] {
            assert_eq!((of_anybody(most), of_one_network(most)), (pages, network), "of {most}");
        }
    }
}
