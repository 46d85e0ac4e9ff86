//! One port for all AWS services: routes by target, path and signature scope.
