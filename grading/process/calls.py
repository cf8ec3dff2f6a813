"""Calls the functions of a submission. Nothing is given to a parameter that is not understood."""

import inspect

from grading.process.raised import NotUnderstood

RATE = 0.137  # the learning rate of whatever takes one
ROLES = {  # the names of a parameter, exactly, in small letters and without underscores
    "learning_rate": "lr rate learningrate eta lrate alpha stepsize learnrate eta0",
    "max_steps": "maxsteps maxepochs epochs nepochs numepochs maxepoch epoch steps iterations "
    "maxiter niter numiter iters numiterations maxiterations numsteps nsteps",
    "eval_freq": "evalfreq freq verbose evalevery",
    "batch_size": "batchsize bs minibatchsize sgdbatchsize batch count stochasticsize",
    "hidden": "dnnhiddenunits hiddenunits nhidden hidden hiddendims hiddenlist hiddensizes",
    "sizes": "sizes layersizes layerdims dims widths",
    "n_inputs": "ninputs insize infeatures inputsize nin dim inputdim "
    "inputs ninput numinputs nfeatures numfeatures features inputfeatures dimension nweights d",
    "n_classes": "nclasses outsize nout outputdim numclasses",
    "slope": "negslope negativeslope slope",
    "seed": "seed randomseed randomstate rng",
    "model": "model mlp net network",
    "loss": "loss lossfn lossfunc lossfunction criterion criteria lossmodule",
    "x_train": "xtrain trainx trainingx trainx traininginputs traindata xs",
    "y_train": "ytrain trainy traininglabels trainlabels ys ytr traintargets ttrain",
    "x_test": "xtest testx testinginputs testinputs testdata xeval xval "
    "pointstest inputstest testpoints datatest xte testinput",
    "y_test": "ytest testy testinglabels testlabels yeval yval "
    "labelstest targetstest testtargets yte ttest",
    "data": "data dataset",
    "targets": "y t label labels target targets ytrue truth onehot",
    "predictions": "predictions prediction preds pred x p probs prob yhat output outputs",
    "number": "n num size",
    "n_points": "npoints numpoints nsamples numsamples nperclass npointsperclass nsamplesperclass",
    "mean_pos": "meanpos posmean meanpositive mupos meanp mup mean1 mu1 m1 center1 meana mua",
    "mean_neg": "meanneg negmean meannegative muneg meann mun mean2 mu2 m2 center2 meanb mub",
    "means": "means mus centers",
    "covariance": "cov covariance covscale covmatrix variance var cov1 cov2 covpos covneg",
    "matrix": "sigma sig sigma1 sigma2 sig1 sig2 sigmapos sigmaneg",
    "deviation": "std stddev stdev sd std1 std2 stdpos stdneg",
}
ROLE_OF = {name: role for role, names in ROLES.items() for name in names.split()}


def role_of(name):
    """Return what a parameter of this name is for, or None."""
    return ROLE_OF.get(name.lower().replace("_", ""))


def parameters_of(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return []
    return [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def required(function):
    """Return the names of the parameters without a default."""
    return [p.name for p in parameters_of(function) if p.default is p.empty]


def call(function, *certain, **values):
    """Call a function with what is certain in order, and the rest by the role of its name.

    A parameter with a default gets a value only if it is among the values by its role.
    """
    named = {}
    for p in parameters_of(function)[len(certain) :]:
        role = role_of(p.name)
        if role in values:
            named[p.name] = values[role]
        elif p.default is p.empty:
            name = getattr(function, "__qualname__", type(function).__name__)
            raise NotUnderstood(f"{name} has a parameter {p.name}: what is it for?")
    return function(*certain, **named)
