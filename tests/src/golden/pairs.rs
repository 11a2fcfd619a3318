//! Rows in which each pair of choices meets.

/// One row's choices, asked for one after the other.
#[derive(Default)]
pub(super) struct Choices {
    /// How many options each choice has had.
    sizes: Vec<usize>,
    /// Which option each choice takes; the first, where it does not say.
    row: Vec<usize>,
}

impl Choices {
    /// One of the options. A row asks for the same choices whatever it has got.
    pub(super) fn of<T: Clone>(&mut self, options: &[T]) -> T {
        let chosen = self.row.get(self.sizes.len()).copied().unwrap_or_default();
        self.sizes.push(options.len());
        options[chosen].clone()
    }
}

/// What `build` makes of each row.
pub(super) fn rows<T>(mut build: impl FnMut(&mut Choices) -> T) -> Vec<T> {
    let mut choices = Choices::default();
    build(&mut choices);
    pairwise(&choices.sizes).into_iter().map(|row| build(&mut Choices { sizes: Vec::new(), row })).collect()
}

/// Rows for choices with so many options, such that each option of each choice meets each option of each other in a row.
///
/// Greedy: a row begins with a pair that has not met yet, and takes for each other choice the option by which most pairs
/// meet. That is within a few rows of the fewest that there can be.
fn pairwise(sizes: &[usize]) -> Vec<Vec<usize>> {
    // An option's number among those of all choices, and which pairs of them are still to meet.
    let firsts: Vec<usize> = sizes.iter().scan(0, |next, size| Some(std::mem::replace(next, *next + size))).collect();
    let all: usize = sizes.iter().sum();
    let mut apart = vec![vec![false; all]; all];
    for (one, other) in (0..sizes.len()).flat_map(|one| (one + 1..sizes.len()).map(move |other| (one, other))) {
        for (x, y) in (0..sizes[one]).flat_map(|x| (0..sizes[other]).map(move |y| (x, y))) {
            apart[firsts[one] + x][firsts[other] + y] = true;
        }
    }
    let mut rows = Vec::new();
    while let Some((x, y)) = first(&apart) {
        let choice_of = |option| firsts.partition_point(|first| *first <= option) - 1;
        let mut row: Vec<Option<usize>> = vec![None; sizes.len()];
        (row[choice_of(x)], row[choice_of(y)]) = (Some(x), Some(y));
        for choice in 0..sizes.len() {
            if row[choice].is_none() {
                // Of those that are equal another one in each row.
                let options = (0..sizes[choice]).map(|option| firsts[choice] + (option + rows.len()) % sizes[choice]);
                let meets =
                    |option: &usize| row.iter().flatten().filter(|other| pair(&apart, *option, **other)).count();
                row[choice] = options.max_by_key(meets);
            }
        }
        let row: Vec<usize> = row.into_iter().flatten().collect();
        for (one, other) in row.iter().flat_map(|one| row.iter().map(move |other| (*one, *other))) {
            apart[one][other] = false;
        }
        rows.push(row.iter().zip(&firsts).map(|(option, first)| option - first).collect());
    }
    rows
}

fn first(apart: &[Vec<bool>]) -> Option<(usize, usize)> {
    apart.iter().enumerate().find_map(|(x, row)| row.iter().position(|apart| *apart).map(|y| (x, y)))
}

fn pair(apart: &[Vec<bool>], one: usize, other: usize) -> bool {
    apart[one.min(other)][one.max(other)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_pair_of_options_meets_and_few_rows_are_wasted() {
        for sizes in [vec![], vec![2, 2], vec![1, 5, 2], vec![4, 3, 3, 2, 2, 6, 1], vec![17, 4, 4, 4, 3, 3]] {
            let rows = pairwise(&sizes);
            for (a, b) in (0..sizes.len()).flat_map(|a| (a + 1..sizes.len()).map(move |b| (a, b))) {
                let met: BTreeSet<_> = rows.iter().map(|row| (row[a], row[b])).collect();
                assert_eq!(met.len(), sizes[a] * sizes[b], "{sizes:?}: {a} and {b}");
            }
            assert!(rows.iter().all(|row| row.iter().zip(&sizes).all(|(option, size)| option < size)));
            let mut sorted = sizes.clone();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            let fewest: usize = sorted.iter().take(2).product();
            assert!(rows.len() <= fewest + fewest / 2, "{sizes:?}: {} rows", rows.len());
        }
    }
}
