/* The limit: the 2-20-2 network and nothing else, so that the compiler knows every size and keeps
   all it can in registers. step.py compiles it with -O3 -march=native -ffast-math. */

#include <math.h>
#include <stdint.h>

enum { INPUTS = 2, UNITS = 20, CLASSES = 2 };

struct params {
    double weight1[INPUTS][UNITS], bias1[UNITS], weight2[UNITS][CLASSES], bias2[CLASSES];
};

static void add_gradient(const struct params *p, struct params *grad, const double *x,
                         const double *target, double scale)
{
    double hidden[UNITS], logits[CLASSES], dlogits[CLASSES], largest, sum = 0;

    for (int j = 0; j < UNITS; j++) {
        double z = p->bias1[j];
        for (int i = 0; i < INPUTS; i++)
            z += x[i] * p->weight1[i][j];
        hidden[j] = z > 0 ? z : 0;
    }
    for (int k = 0; k < CLASSES; k++) {
        logits[k] = p->bias2[k];
        for (int j = 0; j < UNITS; j++)
            logits[k] += hidden[j] * p->weight2[j][k];
    }
    largest = logits[0];
    for (int k = 1; k < CLASSES; k++)
        largest = logits[k] > largest ? logits[k] : largest;
    for (int k = 0; k < CLASSES; k++)
        sum += logits[k] = exp(logits[k] - largest);
    for (int k = 0; k < CLASSES; k++) {
        dlogits[k] = scale * (logits[k] / sum - target[k]);
        grad->bias2[k] += dlogits[k];
    }
    for (int j = 0; j < UNITS; j++) {
        double dhidden = 0;
        for (int k = 0; k < CLASSES; k++) {
            grad->weight2[j][k] += hidden[j] * dlogits[k];
            dhidden += p->weight2[j][k] * dlogits[k];
        }
        dhidden = hidden[j] > 0 ? dhidden : 0;
        grad->bias1[j] += dhidden;
        for (int i = 0; i < INPUTS; i++)
            grad->weight1[i][j] += x[i] * dhidden;
    }
}

void run_epoch(double *params, const double *x, const double *targets, const int64_t *order,
               int64_t n_rows, int64_t batch_size, double learning_rate)
{
    for (int64_t start = 0; start < n_rows; start += batch_size) {
        int64_t end = start + batch_size < n_rows ? start + batch_size : n_rows;
        struct params grad = {0};
        for (int64_t r = start; r < end; r++)
            add_gradient((struct params *)params, &grad, x + INPUTS * order[r],
                         targets + CLASSES * order[r], 1.0 / (double)(end - start));
        for (unsigned k = 0; k < sizeof grad / sizeof(double); k++)
            params[k] -= learning_rate * ((double *)&grad)[k];
    }
}
