//! In which order does Java iterate over a hash table?
//!
//! Kafka's assignors walk over `HashMap`s and `HashSet`s of member ids, topic ids and partitions, so their order is part of
//! the assignments that they make. The order is no accident of a run: the hashes of these types are fixed by their
//! classes, and a table is walked bucket by bucket, within a bucket by arrival.

use uuid::Uuid;

use crate::ids::{Topic, TopicPartition};

/// Buckets of a table that nobody gave a size (`HashMap.DEFAULT_INITIAL_CAPACITY`).
const DEFAULT_CAPACITY: usize = 16;

/// What Java hashes as Kafka's classes do.
pub(super) trait JavaHash {
    /// `hashCode()`.
    fn java_hash(&self) -> i32;
}

/// `String.hashCode`: over the units of UTF-16.
impl JavaHash for str {
    fn java_hash(&self) -> i32 {
        self.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
    }
}

impl JavaHash for String {
    fn java_hash(&self) -> i32 {
        self.as_str().java_hash()
    }
}

impl JavaHash for Topic {
    fn java_hash(&self) -> i32 {
        self.as_str().java_hash()
    }
}

/// `org.apache.kafka.common.TopicPartition.hashCode`.
impl JavaHash for TopicPartition {
    fn java_hash(&self) -> i32 {
        31_i32.wrapping_add(self.partition).wrapping_mul(31).wrapping_add(self.topic.java_hash())
    }
}

/// `org.apache.kafka.common.Uuid.hashCode`.
impl JavaHash for Uuid {
    fn java_hash(&self) -> i32 {
        let (most, least) = self.as_u64_pair();
        let folded = most ^ least;
        ((folded >> 32) ^ folded) as u32 as i32
    }
}

impl<T: JavaHash + ?Sized> JavaHash for &T {
    fn java_hash(&self) -> i32 {
        (**self).java_hash()
    }
}

/// The bucket of a key in a table of `capacity` buckets, a power of two (`HashMap.hash`).
fn bucket(key: &impl JavaHash, capacity: usize) -> usize {
    let hash = key.java_hash() as u32;
    (hash ^ (hash >> 16)) as usize & (capacity - 1)
}

/// Buckets of a table that grew to `len` keys one by one: doubled whenever more than three quarters are taken.
fn grown_capacity(len: usize) -> usize {
    let mut capacity = DEFAULT_CAPACITY;
    while len * 4 > capacity * 3 {
        capacity *= 2;
    }
    capacity
}

fn walk<T: JavaHash>(keys: impl IntoIterator<Item = T>, capacity: usize) -> Vec<T> {
    let mut keys: Vec<T> = keys.into_iter().collect();
    // A stable sort: within a bucket by arrival.
    keys.sort_by_key(|key| bucket(key, capacity));
    keys
}

/// The keys of a `HashMap` or `HashSet` into which they were put one by one, in the order in which it is walked.
pub(super) fn grown<T: JavaHash>(keys: impl IntoIterator<Item = T>) -> Vec<T> {
    let keys: Vec<T> = keys.into_iter().collect();
    let capacity = grown_capacity(keys.len());
    walk(keys, capacity)
}

/// The elements of a `new HashSet<>(collection)`, which takes a size that fits at once.
pub(super) fn copied_set<T: JavaHash>(keys: impl IntoIterator<Item = T>) -> Vec<T> {
    let keys: Vec<T> = keys.into_iter().collect();
    let capacity = (keys.len() * 4 / 3 + 1).max(DEFAULT_CAPACITY).next_power_of_two();
    walk(keys, capacity)
}

/// A `HashSet` that elements come to and go from, of which only the first is ever asked.
#[derive(Clone, Debug)]
pub(super) struct JavaTable<T> {
    elements: Vec<T>,
    /// A table never shrinks.
    capacity: usize,
}

impl<T: JavaHash + PartialEq> JavaTable<T> {
    pub(super) fn new() -> Self {
        JavaTable { elements: Vec::new(), capacity: DEFAULT_CAPACITY }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    pub(super) fn insert(&mut self, element: T) {
        if !self.elements.contains(&element) {
            self.elements.push(element);
            self.capacity = self.capacity.max(grown_capacity(self.elements.len()));
        }
    }

    pub(super) fn remove(&mut self, element: &T) {
        self.elements.retain(|other| other != element);
    }

    /// `iterator().next()`.
    pub(super) fn first(&self) -> Option<&T> {
        self.elements.iter().min_by_key(|element| bucket(*element, self.capacity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_javas_classes() {
        // Known values: "Aa" and "BB" are the textbook collision; the empty string is 0.
        assert_eq!(("".java_hash(), "Aa".java_hash(), "BB".java_hash()), (0, 2112, 2112));
        assert_eq!("hello".java_hash(), 99_162_322);
        // Beyond 32 bits it wraps.
        assert_eq!("polygenelubricants".java_hash(), i32::MIN);
        let topic = Topic::new("Aa");
        assert_eq!(TopicPartition::new(&topic, 2).java_hash(), (31 + 2) * 31 + 2112);
        assert_eq!(Uuid::from_u128(0x0000_0001_0000_0002_0000_0004_0000_0008).java_hash(), 1 ^ 2 ^ 4 ^ 8);
    }

    #[test]
    fn a_table_is_walked_bucket_by_bucket() {
        // One letter each: the hash is the letter's code, 0x61 to 0x70, and "p" falls into the first of 16 buckets.
        assert_eq!(grown(["a", "b", "o", "p"]), ["p", "a", "b", "o"]);
        // The thirteenth key doubles the table: now "p" has a bucket of its own, behind "o".
        let letters = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "o", "p"];
        assert_eq!(grown(letters), letters);
        // A set that copies twelve elements has 32 buckets at once.
        assert_eq!(copied_set(&letters[1..]), letters[1..].iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_set_names_its_first_element_by_its_table_not_by_arrival() {
        let mut set = JavaTable::new();
        for letter in ["b", "p", "a"] {
            set.insert(letter);
        }
        assert_eq!(set.first(), Some(&"p"));
        set.remove(&"p");
        assert_eq!(set.first(), Some(&"a"));
        set.remove(&"a");
        set.remove(&"b");
        assert!(set.is_empty());
    }
}
