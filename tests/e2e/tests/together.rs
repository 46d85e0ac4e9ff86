//! Many set up one warehouse at once, as pipelines of several fleets do.

use futures::future::join_all;

use crate::world::World;

const AT_ONCE: usize = 4;
const ROUNDS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_can_set_up_one_warehouse_at_once() {
    let names = ["load".to_owned()];
    let mut world = World::start("setups", &names, ("0s", "30s")).await;
    if world.is_shared() {
        return; // Its schema is everybody's.
    }
    let procedure = "warehouse: main, commit: procedure";
    world.set_up_as(&names, procedure).await;
    for _ in 0..ROUNDS {
        world
            .execute_all(&["DROP SCHEMA stepfleet CASCADE".to_owned()])
            .await;
        join_all((0..AT_ONCE).map(|_| world.set_up_catalogue())).await;
        let made = world.numbers("SELECT count(*) FROM stepfleet.ledger".to_owned());
        assert_eq!(made.await, [0]);
    }
}
