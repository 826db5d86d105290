//! Asks the owner to log in at a service. The handlers of `vettid_handlers::auth_challenge` as a component.

handler_guest::component!(vettid_handlers::auth_challenge::add, [sign, feed]);
