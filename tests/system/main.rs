//! Tests the whole system from outside: HTTP on the functions' routers, queues and sweeps through the functions' handlers,
//! storage through the AWS SDK. Time and ids are arguments, and no test waits in real time.

use rekindle_tests::fixture;

mod archive;
mod audiences;
mod audit;
mod bites;
mod canvases;
mod compaction;
mod crashes;
mod cycles;
mod damage;
mod day;
mod estimate;
mod expirations;
mod export;
mod facts;
mod garbage;
mod garbage_api;
mod holders;
mod idle;
mod joins;
mod keys;
mod late;
mod listing;
mod matrix;
mod metrics;
mod names;
mod openapi;
mod pins;
mod poison;
mod races;
mod repeats;
mod segments;
mod simulation;
mod stored;
mod story;
mod tags;
mod template;
mod tidy;
mod users;
mod warnings;
