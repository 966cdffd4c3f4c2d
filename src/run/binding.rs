//! The claim of an account on its destination: decided before the first commit, and only once the source has answered
//! well. A mistyped account code leaves no marker that would refuse the right one.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::failure::{Failure, Kind, Result};
use crate::fetch::Client;
use crate::manifest::claim_destination;
use crate::store::Store;

/// The claim of a run's account.
#[derive(Debug)]
pub struct Binding {
    account: String,
    now: Timestamp,
    bound: OnceCell<()>,
    refused: AtomicBool,
}

impl Binding {
    /// The claim of an account; `claimed` states that the destination has its marker already.
    pub fn new(account: &str, now: Timestamp, claimed: bool) -> Self {
        let bound = if claimed { OnceCell::new_with(Some(())) } else { OnceCell::new() };
        Self { account: account.to_owned(), now, bound, refused: AtomicBool::new(false) }
    }

    /// Claims the destination, once a run, before anything of the account is written there. Refuses (`Settings`) where
    /// another account has claimed it meanwhile, and where no answer shows that the account exists. `known` states that
    /// tables of this account are there, though the marker is not.
    pub async fn bind(&self, store: &Store, client: &Client, known: bool) -> Result<()> {
        let claim = async {
            if !known && !client.has_succeeded() {
                return Err(Failure::new(Kind::Settings, "bind the destination to the account")
                    .at(store.describe())
                    .because(format!("no answer of the source shows any data of account `{}`", self.account))
                    .advise("check account.code with `pearlift check`"));
            }
            claim_destination(store, &self.account, self.now).await
        };
        let bound = self.bound.get_or_try_init(|| claim).await;
        self.refused.fetch_or(bound.as_ref().is_err_and(|failure| failure.kind() == Kind::Settings), Ordering::Relaxed);
        bound.map(|_| ())
    }

    /// The account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Whether the claim was refused: nothing was written, and nothing may be.
    pub fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::{Environment, Settings};
    use crate::event::Events;
    use crate::fetch::Auth;
    use crate::secret::Redactor;

    fn client() -> Client {
        let vars = [
            ("PEARLIFT_ACCOUNT_CODE", "acme"),
            ("PEARLIFT_ACCOUNT_API_DOMAIN", "nobody.invalid"),
            ("PEARLIFT_AUTH_APP_REF", "acme_export"),
            ("BRIGHTPEARL_STAFF_TOKEN", "a token"),
        ];
        let vars = vars.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let settings = Settings::from_text(None, "", Environment::new(vars), &[]).unwrap();
        let credentials = settings.credentials(Timestamp::UNIX_EPOCH).unwrap();
        let auth = Auth::new(credentials, "acme", Redactor::default()).unwrap();
        Client::new(&settings.account().unwrap(), auth, &settings.limits().unwrap(), 1, Events::silent()).unwrap()
    }

    #[tokio::test]
    async fn without_a_good_answer_only_tables_of_the_account_bind_it() {
        let (store, client) = (Store::memory(), client());
        let binding = Binding::new("acme", Timestamp::UNIX_EPOCH, false);
        let refused = binding.bind(&store, &client, false).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Settings);
        assert!(binding.is_refused());
        assert_eq!(store.list("").await.unwrap(), []);
        Binding::new("acme", Timestamp::UNIX_EPOCH, false).bind(&store, &client, true).await.unwrap();
        let other = Binding::new("other", Timestamp::UNIX_EPOCH, false);
        assert_eq!(other.bind(&store, &client, true).await.unwrap_err().kind(), Kind::Settings);
    }
}
