//! The owner's profile. The handlers of `vettid_handlers::profile` as a component.

handler_guest::component!(vettid_handlers::profile::add, [profile, feed]);
