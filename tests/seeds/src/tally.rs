//! How often things happened, so that a run that reaches nothing is seen.

use std::fmt::Debug;

/// What was reached in a world, summed over many.
pub trait Tally: Debug + Default + Send {
    /// Adds those of another world.
    fn add(&mut self, other: &Self);
    /// What happened least.
    fn least(&self) -> (&'static str, u64);
}

/// Makes a [`Tally`]: a struct with a count for each name. Those behind `never` need not be reached.
#[macro_export]
macro_rules! tally {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $type:ident { $($(#[$doc:meta])* $name:ident,)* }
        $(never { $($(#[$other_doc:meta])* $other:ident,)* })?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $visibility struct $type {
            $($(#[$doc])* pub $name: u64,)*
            $($($(#[$other_doc])* pub $other: u64,)*)?
        }

        impl $crate::Tally for $type {
            fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
                $($(self.$other += other.$other;)*)?
            }

            fn least(&self) -> (&'static str, u64) {
                let all = [$((stringify!($name), self.$name),)*];
                all.into_iter().min_by_key(|(_, count)| *count).unwrap_or(("nothing", 0))
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::Tally as _;

    tally! {
        struct Counts {
            often,
            seldom,
        }
        never {
            not_yet,
        }
    }

    #[test]
    fn what_happens_least_is_named_and_what_need_not_happen_is_not() {
        let mut sum = Counts { often: 5, seldom: 1, not_yet: 0 };
        sum.add(&Counts { often: 1, seldom: 2, not_yet: 0 });
        assert_eq!((sum.often, sum.least()), (6, ("seldom", 3)));
    }
}
