//! Keys and values of a history as small numbers: integers stand for themselves, anything else is numbered as it is met.

use std::collections::BTreeMap;

/// A key or a value. Equal atoms were written equally; their order says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Atom(u64);

/// The texts of atoms that are no integers.
#[derive(Clone, Debug, Default)]
pub struct Atoms {
    texts: Vec<String>,
    numbers: BTreeMap<String, u64>,
}

/// Integers of up to 62 bits have room beside the mark; the others are texts.
const LARGEST: i64 = i64::MAX >> 2;

impl Atom {
    /// An order to sort by that tells all atoms apart.
    pub(crate) fn order(self) -> u64 {
        self.0
    }
}

impl Atoms {
    /// The atom of an integer.
    pub fn integer(&mut self, value: i64) -> Atom {
        if value.unsigned_abs() <= LARGEST as u64 { Atom((value << 1) as u64) } else { self.text(&value.to_string()) }
    }

    /// The atom of anything else, by the one text it is written as.
    pub fn text(&mut self, text: &str) -> Atom {
        let next = self.texts.len() as u64;
        let number = match self.numbers.get(text) {
            Some(number) => *number,
            None => {
                self.numbers.insert(text.to_owned(), next);
                self.texts.push(text.to_owned());
                next
            }
        };
        Atom(number << 1 | 1)
    }

    /// The atom of that text, if it was met.
    pub(crate) fn find(&self, text: &str) -> Option<Atom> {
        self.numbers.get(text).map(|number| Atom(number << 1 | 1))
    }

    /// As it is written in EDN.
    pub fn show(&self, atom: Atom) -> String {
        if atom.0 & 1 == 0 {
            return ((atom.0 as i64) >> 1).to_string();
        }
        self.texts.get((atom.0 >> 1) as usize).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atom_is_shown_as_it_was_written() {
        let mut atoms = Atoms::default();
        for n in [0, 1, -1, 42, LARGEST, -LARGEST, LARGEST + 1, i64::MAX, i64::MIN] {
            let atom = atoms.integer(n);
            assert_eq!((atoms.show(atom), atoms.integer(n)), (n.to_string(), atom));
        }
        let (x, y) = (atoms.text(":x"), atoms.text(":y"));
        assert_ne!(x, y);
        assert_eq!((atoms.text(":x"), atoms.show(y)), (x, ":y".to_owned()));
    }
}
