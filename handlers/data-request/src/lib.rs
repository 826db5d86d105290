//! Lets a service read a field that its contract names. The handlers of `vettid_handlers::data_request` as a component.

handler_guest::component!(vettid_handlers::data_request::add, [field_read, feed]);
