"""Commands in this process."""
import evaluate
import evaluate_seg
import launch
import reproduce
import train1
import train2
import train3
import train_att

MAINS = {'train1': train1.main, 'train2': train2.main, 'train3': train3.main, 'train_att': train_att.main,
         'evaluate': evaluate.main, 'evaluate_seg': evaluate_seg.main, 'reproduce': reproduce.main,
         'launch': launch.main}


def run(script, argv, capfd):
    """(exit code, lines on stderr) of a command in this process."""
    capfd.readouterr()
    try:
        code = MAINS[script](argv)
    except SystemExit as e:
        code = e.code
    return code, capfd.readouterr().err.splitlines()
