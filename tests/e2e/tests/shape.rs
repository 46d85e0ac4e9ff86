//! A table of another shape than its files, in every mode, over the real warehouse:
//! nothing moves, and the execution says so by name.

use std::time::Duration;

use crate::world::World;

/// A few loads, on a busy machine.
const LONG: Duration = Duration::from_secs(180);

/// One column more than the table has.
const WIDE: [(&str, &str); 5] = [
    ("a.csv", "1,10,x\n2,20,y\n"),
    ("b.csv", "3,30,zzz\n"),
    ("c.csv", "4,40,\n"),
    ("d.csv", "5,50,5\n6,60,6\n7,70,7\n"),
    ("e.csv", "8,80,x\n"),
];
const MORE: (&str, &str) = ("f.csv", "9,90,x\n");
const GOOD: (&str, &str) = ("good.csv", "10,100\n");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_another_shape_empties_nothing() {
    let modes = [
        ("statements", "warehouse: main"),
        ("procedure", "warehouse: main, commit: procedure"),
        ("files", "warehouse: files"),
    ];
    let names = modes.map(|(name, _)| name.to_owned());
    let mut world = World::start("shape", &names, ("0s", "100s")).await;
    if !world.open_postgres().await {
        return; // No PostgreSQL of its own.
    }
    let configs = modes.map(|(name, config)| (name.to_owned(), config.to_owned()));
    world.set_up_each(&configs).await;
    world.targets(&names).await;
    for (name, _) in modes {
        let target = world.target(name);
        let _worker = world.worker(name, name).await;
        target.land(&WIDE).await;
        for files in [5, 6] {
            let execution = world.start_execution(name, &target.input()).await;
            assert_eq!(world.failed(&execution, LONG).await, "Load.Shape", "{name}");
            assert!(target.keys("failed").await.is_empty(), "{name}");
            assert_eq!(target.keys("incoming").await.len(), files, "{name}");
            if files == 5 {
                target.land(&[MORE]).await;
            }
        }
        // A good one says that it is the files: they are set aside, and it is said.
        target.land(&[GOOD]).await;
        let execution = world.start_execution(name, &target.input()).await;
        assert_eq!(
            world.failed(&execution, LONG).await,
            "Load.Failed",
            "{name}"
        );
        assert!(target.keys("incoming").await.is_empty(), "{name}");
        assert_eq!(target.keys("failed").await.len(), 12, "{name}");
        assert!(target.keys("leases").await.is_empty(), "{name}");
    }
}
