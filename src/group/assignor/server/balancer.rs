//! Who of some members has least, who has most, while partitions go from these to those?
//!
//! ```text
//!   partitions ▲              ▐▐ ◀─ most loaded: shrinks from the right, grows to the left
//!              │         ▐▐▐▐▐▐▐
//!              │ ▐▐▐▐▐▐▐▐▐▐▐▐▐▐▐
//!              └──────────────────▶ members, by load
//!                ─▶ least loaded: grows to the right
//! ```
//!
//! Within each of the two ranges everybody starts with as many partitions; when all of a range have had their turn, its
//! level moves by one and the range takes in the members that stand at the new level. Members that have nothing to give
//! are swapped out of the right end. Source: `UniformHeterogeneousAssignmentBuilder.MemberAssignmentBalancer`.

/// See the module documentation. Members are places in the list of loads, which the caller keeps up to date.
pub(super) struct Balancer {
    /// Members by load when balancing began.
    sorted: Vec<usize>,
    /// How far they were apart then.
    imbalance: i32,
    /// The range of the least loaded is `0..least_end`.
    least_end: usize,
    least_level: i32,
    next_least: usize,
    /// The range of the most loaded is `most_start..most_end`.
    most_start: usize,
    most_end: usize,
    most_level: i32,
    /// One beyond the place whose turn is next.
    after_next_most: usize,
}

impl Balancer {
    /// A balancer of these members, which must not be none: `loads` tells how many partitions each member has.
    pub(super) fn new(members: &[usize], loads: &[i32]) -> Self {
        let mut sorted = members.to_vec();
        sorted.sort_by_key(|member| (loads[*member], *member));
        let end = sorted.len();
        let (least, most) = (loads[sorted[0]], loads[sorted[end - 1]]);
        Balancer {
            sorted,
            imbalance: most - least,
            least_end: 0,
            least_level: least - 1,
            next_least: 0,
            most_start: end,
            most_end: end,
            most_level: most + 1,
            after_next_most: end,
        }
    }

    /// How far the members were apart when balancing began.
    pub(super) fn imbalance(&self) -> i32 {
        self.imbalance
    }

    /// The member to get the next partition, taken to have got it.
    pub(super) fn next_least_loaded(&mut self, loads: &[i32]) -> usize {
        if self.next_least >= self.least_end {
            self.least_level += 1;
            while self.sorted.get(self.least_end).is_some_and(|member| loads[*member] == self.least_level) {
                self.least_end += 1;
            }
            self.next_least = 0;
        }
        let member = self.sorted[self.next_least];
        self.next_least += 1;
        member
    }

    /// The member to lose the next partition, taken to have lost it. `None`: nobody has anything left to give.
    pub(super) fn next_most_loaded(&mut self, loads: &[i32]) -> Option<usize> {
        if self.after_next_most <= self.most_start {
            let left_of_range = self.most_start.checked_sub(1).map(|place| loads[self.sorted[place]]);
            match left_of_range {
                // Everybody in the range was excluded: go on with whoever comes next, at whatever level.
                Some(load) if self.most_end <= self.most_start => self.most_level = load,
                _ => self.most_level -= 1,
            }
            while self.most_start > 0 && loads[self.sorted[self.most_start - 1]] == self.most_level {
                self.most_start -= 1;
            }
            self.after_next_most = self.most_end;
        }
        self.after_next_most = self.after_next_most.checked_sub(1)?;
        Some(self.sorted[self.after_next_most])
    }

    /// Takes the member that [`Self::next_most_loaded`] has just named out: it has nothing to give.
    pub(super) fn exclude_most_loaded(&mut self) {
        self.most_end -= 1;
        self.sorted.swap(self.after_next_most, self.most_end);
    }

    /// Are the two ranges at most one partition apart?
    pub(super) fn is_balanced(&self) -> bool {
        self.most_level - self.least_level <= 1
    }
}
