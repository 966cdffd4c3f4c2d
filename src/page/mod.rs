//! The page of `pearlift report`: one HTML file about the state of a destination, without scripts and without anything
//! from a network.
//!
//! Takes the history, the heads, the newest run reports and, if given, a plan; gives the text of the page. Every text is
//! cleaned of secrets, and the template escapes it. Refuses nothing: files that cannot be read are items of the page.

mod past;
mod kept;
mod plots;
mod input;
mod attention;
mod sections;
mod template;

pub use input::PageInput;
pub use kept::read_reports;
pub use past::read_past;
pub use template::page;
