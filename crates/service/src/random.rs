//! Randomness of the operating system, for what must not be guessed.

use lightship_platform::Rng;

/// Asks the operating system each time.
#[derive(Debug)]
pub(crate) struct Random;

impl Rng for Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        // Without randomness there is no secret and no session; a system that has given some at the start gives more.
        getrandom::fill(bytes).expect("the system gives random numbers");
    }
}
