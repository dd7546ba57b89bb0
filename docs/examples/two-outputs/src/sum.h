#ifndef SUM_H
#define SUM_H

long sum(const long *numbers, int count);

#endif
