//! What whoever guesses at a password would try first: words that belong to the member and the account (spec 2.6). They are
//! for judging a new password on this device and go nowhere.

use crate::app::{App, Ports};
use crate::command::CommandError;
use crate::line::Line;
use vettid_wire::event::{Nothing, ProfileGet};

impl<P: Ports> App<P> {
    /// The member's name and whatever else the profile shows, the member's id, this device, and where services are.
    ///
    /// # Errors
    /// [`CommandError`], if the vault cannot be asked for the profile.
    pub async fn context_words(&self) -> Result<Vec<String>, CommandError> {
        let mut line = self.open().await?;
        let words = words(&mut line).await;
        line.close().await;
        words
    }
}

async fn words<P: Ports>(line: &mut Line<'_, P>) -> Result<Vec<String>, CommandError> {
    let public = match line.ask::<ProfileGet>(&Nothing {}).await {
        Ok(view) => view.public,
        // The password is what a limited session waits for.
        Err(CommandError::LimitedSession) => None,
        Err(error) => return Err(error),
    };
    let member = &line.member;
    let mut words = vec![member.guid.to_string(), member.device.to_string(), member.origin.services_url.clone()];
    words.extend(
        public.into_iter().flat_map(|public| std::iter::once(public.first_name).chain(public.more.into_values())),
    );
    Ok(words)
}
