"""The example of the README: depth against width, with error bars, in twenty lines."""

import sys

import jax

import jaxnets as jn

jn.use_all_cores()

data = jn.data.mnist1d()  # 3200 to train, 800 to choose, 1000 to test: generated offline
shapes = jn.study.equal_parameters(15_200, depths=[1, 2, 3, 4], inputs=40, outputs=10)
nets = [jn.nn.MLP([width] * depth, outputs=10) for depth, width in shapes]

runs = jn.fit(
    jax.random.key(0),
    data,
    jn.grid(network=nets, learning_rate=[1e-3, 3e-3, 1e-2, 3e-2], seed=range(8)),
    loss="softmax_cross_entropy",
    optimizer=jn.optim.adam(clip_norm=1.0),
    epochs=30,
    batch_size=100,
    monitor="valid_accuracy",  # the weights of its best epoch are kept
)

print(runs.plan)  # known before anything is compiled
best = runs.evaluate("valid").to_dataframe()
mean = best.groupby(["depth", "learning_rate"]).accuracy.agg(["mean", "std"])
print(mean.unstack().round(3))

again = runs.replay(17)  # one member alone: the same bits
print(runs, bool((again.history.train_loss[0] == runs.history.train_loss[17]).all()))

if len(sys.argv) > 1:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    colors = ["#0072B2", "#D55E00", "#009E73", "#CC79A7"]
    for (depth, curves), color in zip(runs.history.groupby("depth"), colors, strict=True):
        rate = mean["mean"].loc[depth].idxmax()
        accuracy = 100 * curves.valid_accuracy.where(curves.learning_rate == rate, drop=True)
        label = f"{depth:.0f}, rate {rate:g}"
        axes.plot(accuracy.epoch, accuracy.mean("member"), color=color, label=label)
        axes.fill_between(
            accuracy.epoch, accuracy.min("member"), accuracy.max("member"), color=color, alpha=0.15,
            linewidth=0,
        )  # fmt: skip
    axes.set(xlabel="epoch", ylabel="validation accuracy (%)", xlim=(1, 30))
    axes.set_title("mean of 8 seeds; band: lowest to highest", fontsize=10)
    axes.legend(title="hidden layers, best rate", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(sys.argv[1], dpi=150)
