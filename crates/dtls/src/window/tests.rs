use std::collections::BTreeSet;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

proptest! {
    /// Against a set that forgets nothing: a number within the window is admitted exactly if it was not seen, one before the
    /// window never, one after it always.
    // Proves: DTL-11
    #[test]
    fn the_window_admits_each_number_once(
        start in prop::sample::select(std::vec![0_u64, 1, 1000, SEQUENCE_MAX - 500]),
        steps in prop::collection::vec(0_u64..200, 1..200),
    ) {
        let mut window = Window::default();
        let mut seen = BTreeSet::new();
        for step in steps {
            let number = start + step;
            let newest = seen.last().is_none_or(|&largest| number > largest);
            let inside = seen.last().is_none_or(|&largest| number + Window::LEN > largest);
            let expected = inside && !seen.contains(&number);
            prop_assert_eq!(window.admits(number), expected);
            if expected {
                prop_assert_eq!(window.remember(number), newest);
                seen.insert(number);
            }
        }
        prop_assert_eq!(Window::from_bytes(window.to_bytes()), Some(window));
    }

    #[test]
    fn asking_changes_nothing(numbers in prop::collection::vec(0..=SEQUENCE_MAX, 0..20)) {
        let window = Window::default();
        let answers: Vec<bool> = numbers.iter().map(|&number| window.admits(number)).collect();
        prop_assert!(answers.iter().all(|&admitted| admitted));
        prop_assert_eq!(window, Window::default());
    }
}

#[test]
fn the_last_number_of_an_epoch_fits() {
    let mut window = Window::default();
    assert!(window.remember(SEQUENCE_MAX));
    assert!(!window.admits(SEQUENCE_MAX));
    assert!(window.admits(SEQUENCE_MAX - 63));
    assert!(!window.admits(SEQUENCE_MAX - 64));
}
