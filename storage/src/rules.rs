//! Rules of the log that can be left out one at a time.

/// Declares rules once: the enum, the list of all, their names, and the set of those that hold.
macro_rules! rules {
    ($(#[$doc:meta])* $one:ident in $set:ident: $($(#[$rule_doc:meta])* $rule:ident,)+) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $one { $($(#[$rule_doc])* $rule,)+ }

        impl $one {
            /// Every rule.
            pub const ALL: &'static [$one] = &[$($one::$rule),+];
            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $($one::$rule => stringify!($rule),)+ }
            }
        }

        /// Which rules hold: all of them, less those that were left out.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $set {
            left_out: u32,
        }

        impl $set {
            /// All of them hold.
            pub const ALL_HOLD: $set = $set { left_out: 0 };
            /// These, without one.
            pub fn without(self, rule: $one) -> $set {
                $set { left_out: self.left_out | 1 << rule as u32 }
            }
            /// Does it hold?
            #[inline]
            pub fn hold(self, rule: $one) -> bool {
                self.left_out & 1 << rule as u32 == 0
            }
        }
    };
}
pub(crate) use rules;

#[cfg(test)]
mod tests {
    use crate::{AppendRule, AppendRules, ProducerRule, ProducerRules};

    #[test]
    fn each_rule_of_an_append_is_left_out_by_itself() {
        for left_out in AppendRule::ALL {
            let rules = AppendRules::default().without(*left_out);
            for rule in AppendRule::ALL {
                assert_eq!(rules.hold(*rule), rule != left_out, "{}", rule.name());
            }
        }
    }

    #[test]
    fn each_rule_is_left_out_by_itself() {
        for left_out in ProducerRule::ALL {
            let rules = ProducerRules::default().without(*left_out);
            for rule in ProducerRule::ALL {
                assert_eq!(rules.hold(*rule), rule != left_out, "{}", rule.name());
            }
        }
    }
}
