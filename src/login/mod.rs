//! The way back from the page on which a person allows a login: to a listener on this machine, or by hand.
//!
//! Takes the redirect address and the text that the answer must repeat, gives the code of the answer. Refuses
//! (`Settings`) a redirect address that no listener can have, (`Usage`) a port that is taken, and (`Credentials`) a login
//! that was not allowed or not answered in time.

mod redirect;
mod answer;
mod listener;

pub use answer::{LoginAnswer, pasted};
pub use listener::AnswerListener;
pub use redirect::RedirectAddress;
